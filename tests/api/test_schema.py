"""The schema: valid, complete, and true of the running service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from rest_framework.test import APIClient

from notifications.api import urls
from tests.api.conftest import problem
from tests.processes import ROOT, answers, free_port, manage, private_database, running, wait_until

FUZZING = Path(__file__).parent / "fuzzing"
# No call of the API leads to this status: it is what a channel says.
UNKNOWN = """
from django.contrib.auth import get_user_model
from notifications import services
from notifications.models import Notification, Status
owner = get_user_model().objects.get(username="one")
for _ in range(64):
    print(services.accept(recipient="you@example.com", message="text", owner=owner).pk)
Notification.objects.update(status=Status.UNKNOWN)
"""


@pytest.mark.slow
def test_valid_and_without_a_warning(tmp_path: Path) -> None:
    """`spectacular --validate --fail-on-warn` is clean."""
    call_command("spectacular", "--validate", "--fail-on-warn", file=str(tmp_path / "schema.yaml"))
    schema = yaml.safe_load((tmp_path / "schema.yaml").read_text())
    assert schema["openapi"].startswith("3.1")


@pytest.mark.slow
@pytest.mark.django_db
def test_every_address_is_in_it(api: APIClient) -> None:
    """No call of the API is left out, and each says what an error looks like."""
    schema = api.get("/api/v1/schema").json()
    ours = {pattern.name for pattern in urls.urlpatterns}
    assert ours - {"schema", "docs", "livez", "readyz", "metrics", "nowhere"} == {
        "send-notification",
        "notifications",
        "notifications-bulk",
        "notification",
        "notification-cancel",
        "notification-resend",
        "notification-confirm",
        "notification-send-again",
        "suppressions",
        "suppression",
    }
    operations = [op for path in schema["paths"].values() for op in path.values()]
    assert len(operations) == 13
    for operation in operations:
        for code in ("401", "403", "429", "503"):
            assert list(operation["responses"][code]["content"]) == ["application/problem+json"]
        assert "background_tasks" not in json.dumps(operation)  # I9: injection is nobody's parameter


@pytest.mark.slow
@pytest.mark.django_db
def test_the_bodies_that_are_taken(api: APIClient) -> None:
    """Forms by the call that reads them, and by no other."""
    paths = api.get("/api/v1/schema").json()["paths"]
    bodies = {
        path: set(calls["post"]["requestBody"]["content"])
        for path, calls in paths.items()
        if "requestBody" in calls.get("post", {})
    }
    forms = {"application/x-www-form-urlencoded", "multipart/form-data"}
    assert bodies == {
        "/send-notification/{email}": {"application/json", *forms},
        "/api/v1/notifications": {"application/json"},
        "/api/v1/notifications/bulk": {"application/json", "application/x-ndjson"},
        "/api/v1/suppressions": {"application/json"},
    }


@pytest.mark.slow
@pytest.mark.django_db
def test_asked_for_twice(api: APIClient) -> None:
    """What is said of a call is not said again, whether its handler has been called in between or not."""
    first = api.get("/api/v1/schema").json()
    api.post("/send-notification/you@example.com")
    assert api.get("/api/v1/schema").json() == first


@pytest.mark.django_db
class TestThePage:
    """Served from here, for those who are let in."""

    def test_from_local_files(self, api: APIClient) -> None:
        """Each script and style is a file of this service, none is inline, none from elsewhere."""
        page = api.get("/api/v1/docs")
        text = page.content.decode()
        assert page.status_code == 200
        assert "http://" not in text
        assert "https://" not in text
        assert "<script>" not in text
        for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
            address = f"/static/drf_spectacular_sidecar/swagger-ui-dist/{name}"
            assert address in text
            file = api.get(address)
            assert file.status_code == 200
            file.close()
        assert api.get("/api/v1/docs?script=").status_code == 200

    def test_its_policy(self, api: APIClient) -> None:
        """Only styles may be set from the page; scripts are files."""
        policy = api.get("/api/v1/docs")["Content-Security-Policy"]
        assert "style-src 'self' 'unsafe-inline'" in policy
        assert "script-src" not in policy
        assert "default-src 'self'" in policy

    def test_closed(self, client: Any) -> None:
        """401 as a problem document, although the page is HTML."""
        problem(client.get("/api/v1/docs"), 401)
        problem(client.get("/api/v1/schema"), 401)


@dataclass(frozen=True)
class Locked:
    """A running service as in production, and the tokens of two callers."""

    url: str
    schema: Path
    tokens: list[str]
    unknown: list[str]  # ids of notifications of the first that may have arrived, or not


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, migrated: str) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("locked")
    port = free_port()
    with private_database(folder, template=migrated) as database_url:
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.api.fuzzing.settings",
            "DATABASE_URL": database_url,
            "DEBUG": "false",
            "ALLOWED_HOSTS": "127.0.0.1",
            "SECRET_KEY": "locked",
            "PORT": str(port),
            "WEB_CONCURRENCY": "2",
            "NOTIFICATIONS_VIA": "queue",
            "NOTIFICATIONS_ADDRESS_RATE": "",
            "NOTIFICATIONS_LOG_FILE": str(folder / "log.txt"),
            "LOG_LEVEL": "WARNING",
        }
        schema = folder / "schema.yaml"
        manage("spectacular", "--file", str(schema), env=env)
        tokens = [
            manage("token", name, "--can", "send,read,cancel,resend,suppress", env=env).stdout.strip()
            for name in ("one", "two")
        ]
        unknown = manage("shell", "--no-imports", "-c", UNKNOWN, env=env).stdout.split()
        assert len(unknown) == 64
        gunicorn = Path(sys.executable).with_name("gunicorn")
        with running(gunicorn, "project.wsgi", env=env, output=folder / "web.txt"):
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: answers(url))
            yield Locked(url, schema, tokens, unknown)
        assert "Traceback" not in (folder / "web.txt").read_text()


@pytest.mark.process
@pytest.mark.timeout(240)
def test_the_service_keeps_its_word(locked: Locked, tmp_path: Path) -> None:
    """schemathesis, all checks: what the schema allows is accepted, what it forbids is refused, each answer is one it
    names, no call goes without credentials, nobody reads what is another's, and nothing is a 500."""
    identities = {
        "auth": [
            {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
            for name, token in zip(("one", "two"), locked.tokens, strict=True)
        ]
    }
    (tmp_path / "identities.yaml").write_text(yaml.safe_dump(identities))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("st"),
            "--config-file",
            FUZZING / "schemathesis.toml",
            "run",
            locked.schema,
            "--url",
            locked.url,
            "--auth-wfc",
            tmp_path / "identities.yaml",
            "--checks",
            "all",
            "--max-examples",
            "10",
            "--seed",
            "1",  # the same requests in every run; take another to look further
            "--workers",
            "2",
            "--no-shrink",
        ],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.api.fuzzing.hooks",
            "FUZZING_UNKNOWN": ",".join(locked.unknown),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout
    assert "Tested: 13" in done.stdout


@pytest.mark.process
def test_a_client_made_from_it(locked: Locked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """openapi-python-client makes a typed client of the schema, and that client can do what there is to do."""
    made = subprocess.run(
        [
            Path(sys.executable).with_name("openapi-python-client"),
            "generate",
            "--path",
            locked.schema,
            "--output-path",
            tmp_path / "notifications_client",
            "--meta",
            "none",
            "--config",
            FUZZING / "client.yaml",
            "--fail-on-warning",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    monkeypatch.syspath_prepend(tmp_path)
    from notifications_client import AuthenticatedClient
    from notifications_client.api.notifications import cancel, create, list_, resend, retrieve
    from notifications_client.api.suppressions import lift_suppression, suppress
    from notifications_client.models import NewNotificationRequest, NewSuppressionRequest, Problem, Status

    with AuthenticatedClient(locked.url, token=locked.tokens[0]) as client:
        order = NewNotificationRequest(recipient="you@example.com", message="hello", subject="Hi")
        made_one = create.sync(client=client, body=order, idempotency_key="one")
        again = create.sync(client=client, body=order, idempotency_key="one")
        assert made_one.id == again.id
        assert retrieve.sync(made_one.id, client=client).status is Status.QUEUED
        assert cancel.sync(made_one.id, client=client).status is Status.CANCELLED
        assert isinstance(cancel.sync(made_one.id, client=client), Problem)
        assert resend.sync(made_one.id, client=client).resend_of == made_one.id
        page = list_.sync(client=client, recipient="you@example.com", page_size=100)
        assert made_one.id in {notification.id for notification in page.results}
        wrong = create.sync(client=client, body=NewNotificationRequest(recipient="nobody", message="hello"))
        assert [error.pointer for error in wrong.errors] == ["/recipient"]
        entry = suppress.sync(client=client, body=NewSuppressionRequest(address="gone@example.com"))
        assert lift_suppression.sync_detailed(entry.id, client=client).status_code == 204
