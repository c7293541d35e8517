"""The door: exact answers, problem documents, and nothing stored for what is refused."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError
from django.test import Client
from django_q.models import OrmQ
from rest_framework.test import APIClient

from notifications import tasks
from notifications.api import away
from notifications.background.pool import current_pool
from notifications.models import Notification, Status
from notifications.statements import claim

pytestmark = pytest.mark.django_db

SEND = "/send-notification/you@example.com"
ANSWER = b'{"message":"Notification sent in the background"}'


def problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert document["status"] == status
    assert document.keys() >= {"type", "title", "detail", "instance"}
    assert Notification.objects.count() == OrmQ.objects.count() == 0
    return document


def test_the_answer_is_exact(api: APIClient) -> None:
    """Byte for byte what the FastAPI tutorial's own test expects, plus where to look."""
    response = api.post(SEND)
    notification = Notification.objects.get()
    assert (response.status_code, response.content) == (200, ANSWER)
    assert response["Location"] == f"/api/v1/notifications/{notification.pk}"
    assert (notification.recipient, notification.message) == ("you@example.com", "some notification")
    assert (notification.status, notification.via) == (Status.QUEUED, "queue")


def test_the_statements_of_a_post_are_pinned(api: APIClient, django_assert_num_queries: Any) -> None:
    """begin · entry · row · commit: nothing else stands between a caller and the answer."""
    api.post(SEND)
    with django_assert_num_queries(4):
        assert api.post(SEND).status_code == 200


@pytest.mark.parametrize(
    "request_options",
    [
        {"path": SEND, "data": {"message": "hi there"}, "format": "json"},
        {"path": SEND, "data": {"message": "hi there"}, "format": "multipart"},
        {
            "path": SEND,
            "data": "message=hi+there",
            "content_type": "application/x-www-form-urlencoded",
        },
        {"path": SEND + "?message=hi%20there"},
        {"path": SEND + "?message=no", "data": {"message": "hi there"}, "format": "json"},
        {"path": SEND + "/", "data": {"message": "hi there"}, "format": "json"},
    ],
    ids=["json", "multipart", "form", "query", "the body wins", "trailing slash"],
)
def test_the_message(api: APIClient, request_options: dict[str, Any]) -> None:
    """A JSON body, a form or the query gives the text."""
    assert api.post(**request_options).content == ANSWER
    assert Notification.objects.get().message == "hi there"


@pytest.mark.parametrize("via", ["queue", "default"])
def test_via_queue(api: APIClient, via: str) -> None:
    """`?via=queue` writes an entry for the workers."""
    assert api.post(f"{SEND}?via={via}").status_code == 200
    assert Notification.objects.get().via == "queue"
    assert OrmQ.objects.get().func() == "notifications.tasks.deliver.call"


@pytest.mark.django_db(transaction=True)
def test_via_thread(api: APIClient, log_file: Any) -> None:
    """`?via=thread` needs no worker: this process delivers, after the response."""
    assert api.post(f"{SEND}?via=thread").content == ANSWER
    assert current_pool().wait_idle(timeout=10)
    row = Notification.objects.get()
    assert (row.status, row.via, OrmQ.objects.count()) == (Status.SENT, "thread", 0)
    assert log_file.read_text() == "notification for you@example.com: some notification\n"


ADDRESSES = {
    "not an address": "nobody",
    "two addresses": "a@example.com, b@example.com",
    "two addresses in quotes": '"a@example.com, b"@example.com',
    "line feed": "a%0Ab@example.com",
    "header injection": "a@example.com%0D%0ABcc: b@example.com",
    "nul": "a%00@example.com",
    "no domain": "a@",
    "no dot": "root@localhost",
    "local part of 65": f"{'a' * 65}@example.com",
    "255 characters": f"{'a' * 61}@{'.'.join(['b' * 61] * 3)}.example",
    "spaces": "%20",
    "a slash": "a/b",
    "display name": "You <you@example.com>",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_a_bad_address(api: APIClient, address: str) -> None:
    """400 with the reason and without the address; nothing is stored."""
    document = problem(api.post(f"/send-notification/{address}"), 400)
    (error,) = document["errors"]
    assert error["pointer"] == "/recipient"
    assert error["detail"] and error["code"]
    assert "b@example.com" not in json.dumps({**document, "instance": ""})


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        ("You@EXAMPLE.com", "You@example.com"),
        ("you%2Btag@example.com", "you+tag@example.com"),
        ("you@b%C3%BCcher.example", "you@xn--bcher-kva.example"),
        ("o'neil@example.com", "o'neil@example.com"),
        ("a%2Fb@example.com", "a/b@example.com"),
    ],
)
def test_the_stored_form(api: APIClient, address: str, stored: str) -> None:
    """The domain is lower-cased and IDNA, the local part is left alone."""
    assert api.post(f"/send-notification/{address}").status_code == 200
    assert Notification.objects.get().recipient == stored


def test_unknown_via(api: APIClient) -> None:
    """400 that lists what there is, and says which parameter."""
    document = problem(api.post(f"{SEND}?via=pigeon"), 400)
    assert document["errors"] == [
        {"parameter": "via", "code": "unknown", "detail": "Unknown via. Choose one of: queue, thread."}
    ]
    document = problem(api.post(SEND, {"via": "pigeon"}, format="json"), 400)
    assert document["errors"][0]["pointer"] == "/via"


@pytest.mark.parametrize(("query", "code"), [("message=", "blank"), ("via=pigeon", "unknown")])
def test_what_the_body_wins_over_is_looked_at(api: APIClient, query: str, code: str) -> None:
    """400 for the query, though the body says the same, and rightly."""
    document = problem(api.post(f"{SEND}?{query}", {"message": "hi", "via": "queue"}, format="json"), 400)
    assert [(error["parameter"], error["code"]) for error in document["errors"]] == [
        (query.partition("=")[0], code)
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "detail"),
    [
        ("{", "application/json", 400, "JSON parse error"),
        ("[1]", "application/json", 400, "Expected a dictionary"),
        ('{"message": NaN}', "application/json", 400, "JSON"),
        ("[" * 100_000, "application/json", 400, "JSON parse error - it is nested too deeply"),
        ('{"message": "hi"}', "application/json; charset=zlib", 400, "Unsupported charset"),
        ("a=1&" * 2000, "application/x-www-form-urlencoded", 400, "too many fields"),
        ("message=%E9", "application/x-www-form-urlencoded", 400, "not utf-8"),
        ("--b\r\nContent-Disposition: form-data; na", "multipart/form-data; boundary=b", 400, "boundary"),
        ('{"message": 5}', "application/json", 400, "Not a valid string"),
        ('{"message": {"a": 1}}', "application/json", 400, "Not a valid string"),
        ('{"message": ""}', "application/json", 400, "blank"),
        ('{"message": "\\u0000"}', "application/json", 400, "Null characters"),
        ('{"message": "\\ud800"}', "application/json", 400, "Surrogate"),
        (json.dumps({"message": "x" * 10_001}), "application/json", 400, "at most 10000"),
        ("<a/>", "application/xml", 415, "application/xml"),
        (json.dumps({"message": "x" * 2_000_000}), "application/json", 413, "1048576 bytes"),
    ],
)
def test_a_bad_body(api: APIClient, body: str, content_type: str, status: int, detail: str) -> None:
    """4xx that says what is wrong; nothing is stored, nothing enqueued."""
    assert detail in problem(api.post(SEND, body, content_type=content_type), status)["detail"]


def test_a_form_in_another_charset(api: APIClient) -> None:
    """What is percent-encoded is bytes of the charset that the form names, in the query too."""
    content_type = "application/x-www-form-urlencoded; charset=latin-1"
    assert api.post(SEND, "message=caf%E9", content_type=content_type).status_code == 200
    assert Notification.objects.get().message == "caf\xe9"


def test_a_query_that_is_no_text(api: APIClient) -> None:
    """400, not a text with U+FFFD in it."""
    assert "not utf-8" in problem(api.post(f"{SEND}?message=%E9"), 400)["detail"]


def test_what_is_not_there(api: APIClient) -> None:
    """404 and 405 are problem documents too."""
    problem(api.get("/nowhere"), 404)
    problem(api.get(f"/api/v1/notifications/{uuid4()}"), 404)
    problem(api.get("/api/v1/notifications/not-a-uuid"), 404)
    response = api.get(SEND)
    problem(response, 405)
    assert response["Allow"] == "POST, OPTIONS"


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/v1/nope",
        "/api/v1/notifications/",
        "/send-notification",
        "/send-notification/",
        "//send-notification/you@example.com",
        "//api/v1/notifications",
    ],
)
@pytest.mark.parametrize("debug", [True, False])
def test_what_looks_like_an_address(settings: Any, path: str, debug: bool) -> None:
    """404 as a problem document, for every method, also where DEBUG would make a page of it."""
    settings.DEBUG = debug
    for method in ("GET", "POST", "DELETE"):
        # The client would take what follows two slashes for a host.
        problem(Client(enforce_csrf_checks=True).generic(method, "/", PATH_INFO=path), 404)


def test_a_bug_is_a_problem_document_without_a_traceback(
    admin_user: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 says nothing of the inside; the log does."""
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(admin_user)
    monkeypatch.setattr("notifications.orders.tasks", None)
    document = problem(client.post(SEND), 500)
    assert "AttributeError" not in json.dumps(document)
    assert "AttributeError" in caplog.text


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("is closed")])
def test_a_database_that_is_away_is_waited_for(
    api: APIClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """503 and when to ask again, not 500: nothing is wrong with the request, nor with us. The log says what it was."""

    def fail(**fields: Any) -> None:
        raise error

    monkeypatch.setattr("notifications.orders.make", fail)
    response = api.post(SEND)
    document = problem(response, 503)
    assert response["Retry-After"] == "1"
    assert str(error) not in json.dumps(document)
    assert str(error) in caplog.text


def test_a_page_whose_database_is_away_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 as from the API, where it is the session that cannot be looked up."""

    def fail(self: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", fail)
    client = APIClient(raise_request_exception=False)
    client.cookies["sessionid"] = "of-somebody"
    response = client.get("/admin/")
    problem(response, 503)
    assert response["Retry-After"] == "1"


def test_an_outage_is_not_one_traceback_for_each_request(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Some hundred requests a second, of fifty lines each, would fill a disk. Each has its line, with the reason."""

    def fail(**fields: Any) -> None:
        raise OperationalError("no room is left")

    monkeypatch.setattr("notifications.orders.make", fail)
    monkeypatch.setattr("notifications.api.away._traced_at", -away.TRACEBACK_EVERY)
    for _ in range(3):
        problem(api.post(SEND), 503)
    records = [record for record in caplog.records if record.name == "notifications.api"]
    assert [record.getMessage() for record in records] == [
        "database=away view=SendNotification error=no room is left"
    ] * 3
    assert [bool(record.exc_info) for record in records] == [True, False, False]


def test_status_times_and_attempts(api: APIClient) -> None:
    """The Location shows queued, then sent with its attempt."""
    location = api.post(SEND)["Location"]
    before = api.get(location).json()
    assert (before["status"], before["attempts"], before["finished_at"]) == ("queued", [], None)
    tasks.deliver.call([before["id"]])
    after = api.get(location).json()
    (attempt,) = after["attempts"]
    assert (after["status"], attempt["outcome"], attempt["number"]) == ("sent", "sent", 1)
    assert after["created_at"] <= attempt["started_at"] <= attempt["finished_at"] == after["finished_at"]


def test_an_attempt_that_runs_is_shown(api: APIClient) -> None:
    """While it is sent, the attempt is there without an outcome."""
    location = api.post(SEND)["Location"]
    claim([str(Notification.objects.get().pk)], timedelta(seconds=30), "default")
    document = api.get(location).json()
    (attempt,) = document["attempts"]
    assert (document["status"], attempt["outcome"], attempt["finished_at"]) == ("sending", None, None)


class TestTheDoor:
    """Open without credentials only while DEBUG is on and the client is on this machine."""

    def test_closed_by_default(self, client: Client) -> None:
        """401 with the way in."""
        response = client.post(SEND)
        problem(response, 401)
        assert response["WWW-Authenticate"] == "Bearer"

    def test_open_for_local_development(self, client: Client, settings: Any) -> None:
        """DEBUG and loopback, IPv4 or IPv6."""
        settings.DEBUG = True
        assert client.post(SEND).status_code == 200
        assert client.post(SEND, REMOTE_ADDR="::1").status_code == 200

    def test_debug_is_not_open_for_others(self, client: Client, settings: Any) -> None:
        """Another machine, or a proxy on this one, is not let in by DEBUG."""
        settings.DEBUG = True
        problem(client.post(SEND, REMOTE_ADDR="192.0.2.1"), 401)
        problem(client.post(SEND, headers={"X-Forwarded-For": "127.0.0.1"}), 401)
        problem(client.post(SEND, REMOTE_ADDR=""), 401)

    def test_loopback_is_not_open_without_debug(self, client: Client) -> None:
        """In production nobody is special."""
        problem(client.post(SEND, REMOTE_ADDR="127.0.0.1"), 401)


def test_a_row_that_cannot_be_written_leaves_no_entry(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row and entry are one transaction: the database refuses the row, and the entry is gone too."""
    monkeypatch.setattr("notifications.orders._clean", lambda **fields: {**fields, "status": "unheard of"})
    with pytest.raises(IntegrityError):
        api.post(SEND)
    assert OrmQ.objects.count() == Notification.objects.count() == 0
