"""Bodies that do not arrive as they were announced."""

import json
from io import BytesIO
from typing import Any

import pytest
from django.test import Client

from notifications.api.bodies import WholeStream
from notifications.models import Notification
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db

LIST = "/api/v1/notifications"
SEND = "/send-notification/you@example.com"
NEW = json.dumps({"recipient": "you@example.com", "message": "hello"}).encode()
PART = b'--b\r\nContent-Disposition: form-data; name="message"\r\n\r\nhello\r\n--b--\r\n'

BODIES = [
    (SEND, "application/x-www-form-urlencoded", b"message=hello"),
    (SEND, "application/json", b'{"message": "hello"}'),
    (SEND, "multipart/form-data; boundary=b", PART),
    (LIST, "application/json", NEW),
    (f"{LIST}/bulk", "application/x-ndjson", NEW + b"\n"),
    (f"{LIST}/bulk", "application/json", b"[" + NEW + b"]"),
]


class Reset(BytesIO):
    """A connection that the client resets in the middle of the body."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise ConnectionResetError(104, "Connection reset by peer")


class Slow(BytesIO):
    """A client that does not go on, and a server that has waited long enough."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise TimeoutError


def post(client: Client, path: str, kind: str, stream: BytesIO, length: int, **headers: str) -> Any:
    """As a server hands it over, whose client said that so many bytes would come."""
    extra: dict[str, Any] = {"wsgi.input": stream, "CONTENT_LENGTH": str(length), **headers}
    return client.generic("POST", path, content_type=kind, **extra)


@pytest.mark.parametrize(("path", "kind", "body"), BODIES)
def test_a_body_that_is_cut_off(api: Client, path: str, kind: str, body: bytes) -> None:
    """RFC 9112, 8: not whole, so nothing is done, though what has come of it makes sense."""
    document = problem(post(api, path, kind, BytesIO(body), len(body) + 1), 400)
    assert "Content-Length" in document["detail"]
    key = {"HTTP_IDEMPOTENCY_KEY": "k"}
    problem(post(api, path, kind, BytesIO(body), len(body) + 1, **key), 400)
    assert not Notification.objects.exists()
    assert post(api, path, kind, BytesIO(body), len(body), **key).status_code in {200, 202}


@pytest.mark.parametrize(("path", "kind", "body"), BODIES)
def test_a_connection_that_is_reset(
    api: Client, path: str, kind: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The client's own doing: no fault of ours, and no traceback."""
    problem(post(api, path, kind, Reset(), len(body)), 400)
    assert not Notification.objects.exists()
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(("path", "kind", "body"), BODIES)
def test_a_body_that_takes_too_long(
    api: Client, path: str, kind: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """408 (RFC 9110, 15.5.9), whoever reads it."""
    problem(post(api, path, kind, Slow(), len(body)), 408)
    assert not Notification.objects.exists()
    assert not [record for record in caplog.records if record.exc_info]


def test_what_is_too_large_and_cut_off(api: Client, settings: Any) -> None:
    """The first of the two that is found."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    for stream in (BytesIO(b"x"), Reset(), Slow()):
        problem(post(api, SEND, "application/json", stream, 11), 413)


@pytest.mark.slow
def test_a_form_of_a_page(client: Client) -> None:
    """No page works on a form that is cut off: its token counts for none."""
    form = "application/x-www-form-urlencoded"
    response = post(client, "/admin/login/", form, BytesIO(b"username=a"), 99)
    assert response.status_code in {200, 403}


def test_the_stream() -> None:
    """Any way of reading comes to the same."""
    for read in (
        lambda stream: stream.read(),
        lambda stream: stream.read(None),
        lambda stream: [stream.read(3) for _ in range(4)],
        lambda stream: [stream.readline() for _ in range(4)],
        lambda stream: list(stream),
    ):
        assert read(WholeStream(BytesIO(b"ab\ncd\n"), 6))
        with pytest.raises(ConnectionAbortedError):
            read(WholeStream(BytesIO(b"ab\ncd\n"), 7))
    assert WholeStream(BytesIO(b""), 7).read(0) == b""
