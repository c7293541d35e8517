"""What stands around a request, its path and its headers: read as the RFCs have it, or refused by name."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from rest_framework.test import APIClient

from notifications.models import Notification
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db

LIST = "/api/v1/notifications"
SEND = "/send-notification/you@example.com"
NEW = {"recipient": "you@example.com", "message": "hello"}


@pytest.mark.parametrize("path", [SEND, LIST, f"{LIST}/bulk"])
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity, br"])
def test_a_coded_body(api: APIClient, path: str, coding: str) -> None:
    """RFC 9110, 15.5.16 and RFC 7694, 3: 415, and what would be taken."""
    response = api.post(path, NEW, "json", headers={"Content-Encoding": coding})
    assert "Content-Encoding" in problem(response, 415)["detail"]
    assert response["Accept-Encoding"] == "identity"
    assert not Notification.objects.exists()


def test_a_body_that_is_not_coded(api: APIClient) -> None:
    """`identity` is no coding, and nothing is not coded. Another 415 is about something else."""
    assert api.post(LIST, NEW, "json", headers={"Content-Encoding": "identity"}).status_code == 202
    assert api.post(SEND, headers={"Content-Encoding": "gzip"}).status_code == 200
    assert "Accept-Encoding" not in api.generic("POST", LIST, "x", "text/plain")


def test_an_id_in_capitals(api: APIClient) -> None:
    """RFC 9562, 4: either case where it is read."""
    location = api.post(LIST, NEW, "json")["Location"]
    place, _, id = location.rpartition("/")
    assert api.get(f"{place}/{id.upper()}").json()["id"] == id
    assert api.post(f"{place}/{id.upper()}/cancel").json()["status"] == "cancelled"
    problem(api.get(f"{place}/{str(uuid4()).upper()}"), 404)


@pytest.mark.parametrize("local", ["a%FF", "%C3%28", "%ED%A0%80"])
def test_a_path_that_is_no_text(api: APIClient, local: str) -> None:
    """400 that says so: escaped again, as Django has it, it would be the address of somebody else."""
    path = f"/send-notification/{local}@example.com"
    assert "utf-8" in problem(api.post(path, RAW_URI=path), 400)["detail"]
    assert not Notification.objects.exists()


@pytest.mark.slow
def test_a_path_that_is_one(api: APIClient) -> None:
    """Percent signs may stand in an address, and other letters than ASCII."""
    for local in ("a%25FF", "m%C3%BCller%25FF"):
        path = f"/send-notification/{local}@example.com"
        assert api.post(path, RAW_URI=f"{path}?via=queue").status_code == 200
    assert {row.recipient for row in Notification.objects.all()} == {
        "a%FF@example.com",
        "m\u00fcller%FF@example.com",
    }


@pytest.mark.parametrize("debug", [True, False])
def test_somebody_elses_host(
    client: Client, settings: Any, debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A problem document, in development too: Django's page would show strangers what the service is made of."""
    settings.DEBUG = debug
    problem(client.get("/livez", headers={"Host": "elsewhere.example"}), 400)
    assert [record.name for record in caplog.records] == ["django.security.DisallowedHost"]
    assert client.get("/livez").status_code == 200


@pytest.mark.parametrize("path", ["/admin/login/", SEND, LIST, "/"])
@pytest.mark.parametrize("charset", ["punycode", "IDNA"])
def test_a_charset_that_is_none(client: Client, path: str, charset: str) -> None:
    """Refused before a field is decoded: a megabyte takes the codec of punycode most of a minute."""
    body = b'--b\r\nContent-Disposition: form-data; name="message"\r\n\r\nhi\r\n--b--\r\n'
    response = client.generic("POST", path, body, f"multipart/form-data; boundary=b; charset={charset}")
    assert problem(response, 400)["detail"] == "Unsupported charset."


def test_a_condition_on_a_date(api: APIClient) -> None:
    """RFC 9110, 13.1.4: ignored, where there is no date."""
    location = api.post(LIST, NEW, "json")["Location"]
    long_ago = {"If-Unmodified-Since": "Sun, 29 Nov 2006 21:34:26 GMT"}
    assert api.get(location, headers=long_ago).status_code == 200


def test_what_has_not_changed_has_no_length(api: APIClient) -> None:
    """RFC 9110, 8.6: a length in a 304 would be that of the 200."""
    location = api.post(LIST, NEW, "json")["Location"]
    first = api.get(location)
    again = api.get(location, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, "Content-Length" in first, "Content-Length" in again) == (304, True, False)


def test_what_the_page_of_the_schema_allows(api: APIClient) -> None:
    """OPTIONS was a fault of ours."""
    response = api.options("/api/v1/docs")
    problem(response, 405)
    assert response["Allow"] == "GET, HEAD"


def test_a_form_without_a_part(api: APIClient) -> None:
    """What stands between the boundaries and is no part: an empty form it is not."""
    kind = "multipart/form-data; boundary=x"
    response = api.generic("POST", SEND, "--x\r\n[{}]--x--\r\n", content_type=kind)
    problem(response, 400)
    assert api.generic("POST", SEND, "--x--\r\n", content_type=kind).status_code == 200
