"""The service below a path of a proxy's (SCRIPT_NAME): every address that it gives is below it, too."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.processes import free_port, private_database, wait_until
from tests.service import answering

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, migrated: str) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("below")
    port = free_port()
    with private_database(folder, template=migrated) as database_url:
        env = {
            "DATABASE_URL": database_url,
            "DEBUG": "true",
            "SCRIPT_NAME": "/below/here",
            "SECRET_KEY": "a-service-of-tests",
            "PORT": str(port),
            "WEB_CONCURRENCY": "1",
            "DJANGO_SETTINGS_MODULE": "project.settings",
        }
        with (
            answering(folder, env),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, follow_redirects=True) as client,
        ):
            wait_until(lambda: lives(client))
            yield client


def lives(client: httpx.Client) -> bool:
    try:
        return client.get("/below/here/livez").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("page", ["/", "/admin/", "/api/v1/docs"])
def test_what_a_page_needs(client: httpx.Client, page: str) -> None:
    """Styles and scripts: a proxy that passes this path only gets them all."""
    text = client.get(f"/below/here{page}").text
    places = re.findall(r'(?:src|href)="(/[^"]*)"', text)
    assert len(places) > 3
    for place in places:
        assert place.startswith("/below/here/"), place
        assert client.get(place.replace("&amp;", "&")).status_code == 200, place


def test_where_a_notification_is(client: httpx.Client) -> None:
    place = client.post("/below/here/send-notification/you@example.com").headers["Location"]
    assert place.startswith("/below/here/api/v1/notifications/")
    assert client.get(place).json()["recipient"] == "you@example.com"
