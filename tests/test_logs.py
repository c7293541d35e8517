"""The log: the same fields for everybody who writes, and no address or text in any of it."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings

from notifications.request_id import IdsFilter, notification_id
from project.logs import JSONFormatter, LineFormatter, _keys
from tests.processes import free_port, private_database, running, wait_until

sqlite_only = pytest.mark.skipif(
    "sqlite" not in django_settings.DATABASES["default"]["ENGINE"],
    reason="What a line looks like does not depend on the database.",
)


def logged(text: str, *args: Any, exc_info: Any = None, **extra: Any) -> logging.LogRecord:
    record = logging.getLogger("notifications").makeRecord(
        "notifications", logging.INFO, __file__, 1, text, args, exc_info, None, extra
    )
    IdsFilter().filter(record)
    return record


def as_json(record: logging.LogRecord) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(JSONFormatter().format(record))
    return line


@sqlite_only
class TestForms:
    """One object a line, or a line to read; both say the same."""

    def test_pairs_are_fields(self) -> None:
        """With the types that the arguments have; `extra` too."""
        line = as_json(logged("event=recorded attempt=%d took=%.1f %s 5%% of=%s", 2, 0.5, "x", "all", sent=3))
        assert line["message"] == "event=recorded attempt=2 took=0.5 x 5% of=all"
        assert {name: line[name] for name in ("event", "attempt", "took", "of", "sent")} == {
            "event": "recorded",
            "attempt": 2,
            "took": 0.5,
            "of": "all",
            "sent": 3,
        }

    def test_a_field_never_hides_what_every_line_has(self) -> None:
        """A message that says `level=%s` leaves the level alone."""
        assert as_json(logged("level=%s", "high"))["level"] == "INFO"

    @pytest.mark.slow
    def test_texts_that_are_new_each_time_are_not_kept_for_ever(self) -> None:
        """Strangers choose some of them: the Host that Django refuses is one."""
        for number in range(2000):
            as_json(logged(f"Invalid HTTP_HOST header: 'host-{number}'"))
        assert _keys.cache_info().currsize < 2000

    @pytest.mark.parametrize("formatter", [JSONFormatter(), LineFormatter()])
    def test_the_notification_that_is_handled(self, formatter: logging.Formatter) -> None:
        """Its id is on lines that know nothing of it."""
        token = notification_id.set("0199-a")
        try:
            record = logged("lease=renewed")
        finally:
            notification_id.reset(token)
        assert "0199-a" in formatter.format(record)

    @pytest.mark.parametrize("formatter", [JSONFormatter(), LineFormatter()])
    @pytest.mark.parametrize(
        "text",
        [
            "you@example.com",
            "GET /send-notification/you%40example.com?message=secret HTTP/1.1",
            "postgres://name:secret@you.example/db",
            "/send-notification/you?message=secret",
        ],
    )
    def test_no_address(self, formatter: logging.Formatter, text: str) -> None:
        """Whoever writes it, in the text, in an argument or in an error."""
        for record in (logged(text), logged("said=%s", text), logged("x", said=text)):
            line = formatter.format(record)
            assert "you" not in line
            assert "secret" not in line

    @pytest.mark.parametrize("formatter", [JSONFormatter(), LineFormatter()])
    def test_an_exception(self, formatter: logging.Formatter) -> None:
        """Its traceback is there, in one field; the row that PostgreSQL quotes is not."""
        said = "null value\nDETAIL:  Failing row contains (you@example.com, secret).\n"
        try:
            raise ValueError(said)
        except ValueError:  # the traceback quotes the line, not what `said` holds
            formatted = formatter.format(logged("failed", exc_info=sys.exc_info()))
        assert "ValueError: null value" in formatted
        assert "secret" not in formatted
        if isinstance(formatter, JSONFormatter):
            assert "ValueError" in json.loads(formatted)["exception"]
            assert "\n" not in formatted


@pytest.mark.process
@pytest.mark.slow
def test_a_whole_life_in_real_processes(tmp_path: Path, migrated: str) -> None:
    """Web and workers, sent and failed, thread and queue, refusals and the access log: ids everywhere, and neither
    the address nor the text anywhere. Every line is one JSON object, gunicorn's and django-q2's too.
    """
    port, outputs = free_port(), [tmp_path / "web.txt", tmp_path / "worker.txt"]
    with private_database(tmp_path, template=migrated) as database_url:
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.logs_settings",
            "DATABASE_URL": database_url,
            "DEBUG": "true",
            "SECRET_KEY": "logs",
            "PORT": str(port),
            "WEB_CONCURRENCY": "1",
            "QCLUSTER_WORKERS": "1",
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
            "NOTIFICATIONS_LOG_FILE": str(tmp_path / "log.txt"),
        }
        gunicorn = Path(sys.executable).with_name("gunicorn")
        with (
            running(gunicorn, "project.wsgi", "--access-logfile", "-", env=env, output=outputs[0]),
            running(sys.executable, "manage.py", "qcluster", env=env, output=outputs[1]),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, verify=False) as client,
        ):
            wait_until(lambda: is_up(client))
            ids = use_everything(client)
    text = "".join(output.read_text() for output in outputs)
    for private in ("someone", "example.org", "swordfish"):
        assert private not in text, next(line for line in text.splitlines() if private in line)
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"gunicorn.error", "gunicorn.access", "django.request", "notifications"} <= {
        line["logger"] for line in lines
    }
    for id, request in ids.items():
        mine = [line for line in lines if id in (line.get("notification"), *line.get("notifications", ()))]
        assert {line.get("event") for line in mine} >= {"accepted", "recorded"}
        # A line about several names all of their requests.
        strays = [line for line in mine if request not in (line.get("request_id"), *line.get("requests", ()))]
        assert not strays
    answered = [line for line in lines if line["logger"] == "gunicorn.access" and "swallow" in line["path"]]
    assert [line["request_id"] for line in answered] == ["swallow"]


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def use_everything(client: httpx.Client) -> dict[str, str]:
    """Send, fail, be refused. Gives the request's id for each notification's."""
    ids: dict[str, str] = {}
    for via in ("thread", "queue"):
        request = f"log-{via}"
        answer = client.post(
            "/send-notification/someone@example.org",
            params={"via": via, "message": "swordfish"},
            headers={"X-Request-ID": request},
        )
        ids[answer.headers["Location"].rpartition("/")[2]] = request
        answer = client.post(
            "/api/v1/notifications",
            json={
                "recipient": "someone@example.org",
                "message": "swordfish",
                "via": via,
                "channel": "failing",
            },
            headers={"X-Request-ID": f"{request}-2"},
        )
        ids[answer.json()["id"]] = f"{request}-2"
    bad: list[Callable[[], httpx.Response]] = [
        lambda: client.post("/send-notification/someone@@example.org?message=swordfish"),
        lambda: client.put("/send-notification/someone@example.org"),
        lambda: client.post("/api/v1/notifications", content=b'{"message": "swordfish'),
        lambda: client.get("/swallow/someone@example.org", headers={"X-Request-ID": "swallow"}),
        lambda: client.post(
            "/admin/login/?next=/someone@example.org", data={"username": "someone@example.org"}
        ),
        lambda: client.get("/admin/?q=swordfish", headers={"Host": "someone@example.org"}),
    ]
    assert {call().status_code // 100 for call in bad} <= {3, 4}
    for id in ids:
        wait_until(lambda id=id: client.get(f"/api/v1/notifications/{id}").json()["finished_at"])
    return ids
