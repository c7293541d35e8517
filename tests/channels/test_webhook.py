"""The webhook channel: signed by the standard, and every answer, or none, has its meaning."""

import base64
import json
import os
import secrets as random
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from notifications import services, tasks
from notifications.channels import Message, SendResult
from notifications.channels.webhook import MAX_RETRY_AFTER, WebhookChannel
from notifications.models import Notification, Outcome, Status

from .receiver import Handler, Receiver


def secret() -> str:
    return "whsec_" + base64.b64encode(random.token_bytes(32)).decode()


OLD, NEW = secret(), secret()
BACKEND = "notifications.channels.webhook.WebhookChannel"


def message(recipient: str = "ops", **fields: Any) -> Message:
    return Message("0190c0de", recipient, "Subject", "héllo", datetime.now(UTC), 1, **fields)


def options(receiver: Receiver, **more: Any) -> dict[str, Any]:
    endpoints = {"ops": {"url": receiver.url(), "secrets": [NEW]}}
    return {"endpoints": endpoints, "http": True, "allow": ["127.0.0.1"], **more}


def send(receiver: Receiver, *, to: str = "ops", **more: Any) -> SendResult:
    (result,) = WebhookChannel("webhook", {"OPTIONS": options(receiver, **more)}).send([message(to)])
    return result


def test_the_librarys_verifier_accepts_it(receiver: Receiver) -> None:
    """Headers, signature and body as Standard Webhooks 1.0 has them; the id is the notification's."""
    result = send(receiver)
    assert (result.sent, result.code, result.phase) == (True, "204", "response")
    ((headers, body),) = receiver.posts
    payload = Webhook(NEW).verify(body, headers)
    assert headers["webhook-id"] == payload["data"]["id"] == "0190c0de"
    assert (payload["type"], payload["data"]["message"]) == ("notification", "héllo")
    assert datetime.fromisoformat(payload["timestamp"]).utcoffset() == timedelta(0)
    assert headers["Content-Type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body + b" ", headers)


def test_secrets_rotate(receiver: Receiver) -> None:
    """While there are two, receivers with either one accept it; a third one does not."""
    send(receiver, endpoints={"ops": {"url": receiver.url(), "secrets": [NEW, OLD]}})
    ((headers, body),) = receiver.posts
    assert Webhook(NEW).verify(body, headers) == Webhook(OLD).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret()).verify(body, headers)


def test_any_url_with_secrets_of_the_channel(receiver: Receiver) -> None:
    """Without an endpoint: the URL's own path and query, signed by the channel's secrets."""
    url = receiver.url("/a/b?c=%20d")
    seen: list[str] = []
    receiver.behaviour = lambda handler: (seen.append(handler.path), handler.answer(200, b"thanks"))[1]
    result = send(receiver, to=url, secrets=[OLD], ports=[receiver.port])
    assert (result.sent, result.response, seen) == (True, "thanks", ["/a/b?c=%20d"])
    Webhook(OLD).verify(receiver.posts[0][1], receiver.posts[0][0])


STATUSES: list[tuple[int, str]] = [
    *((status, "sent") for status in (200, 201, 202, 204, 299)),
    *((status, "retry") for status in (302, 303, 304, 307, 401, 403, 404, 408, 409, 421, 423, 425, 429)),
    *((status, "retry") for status in (500, 501, 502, 503, 504, 599)),
    *((status, "permanent") for status in (301, 308, 400, 402, 405, 406, 410, 411, 413, 415, 422, 431, 451)),
]


@pytest.mark.parametrize(("status", "meaning"), STATUSES)
def test_what_a_status_means(receiver: Receiver, status: int, meaning: str) -> None:
    """The table of docs/webhooks.md. An answer is never `unknown`, and is kept."""
    receiver.behaviour = lambda handler: handler.answer(status)
    result = send(receiver)
    assert (result.sent, result.permanent) == (meaning == "sent", meaning == "permanent")
    assert (result.code, result.phase, result.unknown) == (str(status), "response", False)


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    """Wherever it points, also to an address that is allowed: one request, and no second."""
    receiver.behaviour = lambda handler: handler.answer(307, Location=receiver.url("/other"))
    assert not send(receiver).sent
    assert len(receiver.posts) == 1


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("120", 120, 120),
        (lambda: format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True), 500, 600),
        ("999999999", 3600, 3600),
        ("1795516800000", 3600, 3600),
        (lambda: format_datetime(datetime.now(UTC) + timedelta(days=9), usegmt=True), 3600, 3600),
        ("0", None, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, None),
        ("soon", None, None),
        ("-5", None, None),
        ("9" * 5000, None, None),
        ("\u0661\u0662", None, None),
    ],
)
def test_retry_after(receiver: Receiver, value: Any, least: int | None, most: int | None) -> None:
    """Seconds or a date, at most an hour; what is neither says nothing."""
    text = value() if callable(value) else value
    receiver.behaviour = lambda handler: handler.answer(503, Retry_After=text.encode().decode("latin-1"))
    wish = send(receiver).retry_after
    assert timedelta(seconds=3600) == MAX_RETRY_AFTER
    if least is None or most is None:
        assert wish is None
    else:
        assert wish is not None
        assert timedelta(seconds=least) <= wish <= timedelta(seconds=most)


def drip(piece: bytes, begin: bytes = b"") -> Callable[[Handler], None]:
    """Never stop, a piece at a time."""

    def behaviour(handler: Handler) -> None:
        handler.connection.sendall(begin)
        with suppress(OSError):
            while not handler.server.ended.wait(0.02):
                handler.connection.sendall(piece)

    return behaviour


BEGIN = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(lambda handler: handler.server.ended.wait(60), id="silence"),
        pytest.param(drip(b"x", b"HTTP/1.1 2"), id="a status line that never ends"),
        pytest.param(drip(b"X-A: b\r\n", BEGIN), id="headers without end"),
        pytest.param(drip(b"HTTP/1.1 100 Continue\r\n\r\n"), id="continue, for ever"),
        pytest.param(drip(b"HTTP/1.1 102 Processing\r\n\r\n"), id="processing, for ever"),
    ],
)
def test_no_answer_in_time(receiver: Receiver, behaviour: Callable[[Handler], None]) -> None:
    """The deadline holds however the time is spent. The request was out, so nobody knows whether it arrived."""
    receiver.behaviour = behaviour
    result = send(receiver, total_timeout=2)
    assert (result.sent, result.permanent, result.unknown, result.phase) == (False, False, True, "response")
    assert (result.code, result.response) == ("", "")


@pytest.mark.parametrize(
    "reply",
    [b"", b"HTTP/1.1 ", b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"x" * 70_000],
)
def test_an_answer_that_is_none(receiver: Receiver, reply: bytes) -> None:
    """It read the request and closed, or spoke another language: nobody knows. What it said is not repeated."""
    receiver.behaviour = lambda handler: handler.connection.sendall(reply)
    result = send(receiver)
    assert (result.sent, result.unknown, result.phase) == (False, True, "response")
    assert "OpenSSH" not in result.error


@pytest.mark.parametrize("status", [204, 410])
def test_what_is_announced_before_the_answer(receiver: Receiver, status: int) -> None:
    """It is passed over, whatever and however much it is (RFC 9110, 15.2): the answer behind it counts."""

    def behaviour(handler: Handler) -> None:
        for interim in ("102 Processing", "103 Early Hints\r\nLink: </a>; rel=preload", "199 Soon"):
            handler.connection.sendall(f"HTTP/1.1 {interim}\r\n\r\n".encode())
        handler.answer(status)

    receiver.behaviour = behaviour
    result = send(receiver)
    assert (result.sent, result.permanent, result.unknown) == (status == 204, status == 410, False)
    assert (result.code, result.phase, len(receiver.posts)) == (str(status), "response", 1)


@pytest.mark.slow
def test_closed_before_the_request_was_read(receiver: Receiver) -> None:
    """The last byte was never out: it has not arrived, and trying again is safe."""

    def slam(handler: Handler) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        handler.connection.close()  # with data unread: a reset

    receiver.reads, receiver.behaviour = False, slam
    channel = WebhookChannel("webhook", {"OPTIONS": options(receiver)})
    (result,) = channel.send([message(html="x" * 20_000_000)])
    assert (result.sent, result.permanent, result.unknown, result.phase) == (False, False, False, "request")


@pytest.mark.slow
def test_a_body_that_never_ends(receiver: Receiver) -> None:
    """The status says that it was taken. Of the rest a bounded part is read, and less is kept."""
    receiver.behaviour = drip(b"y" * 50_000, BEGIN + b"\r\n")
    result = send(receiver)
    assert (result.sent, result.code, result.response) == (True, "200", "y" * 2000)


def test_a_body_that_breaks_off(receiver: Receiver) -> None:
    """So does one that is shorter than it said, or cut in the middle of a character."""
    receiver.behaviour = lambda handler: handler.connection.sendall(
        BEGIN + b"Content-Length: 99\r\n\r\nok \xc3"
    )
    result = send(receiver)
    assert (result.sent, result.response) == (True, "ok \ufffd")


def test_nobody_listens(receiver: Receiver) -> None:
    """No connection: not arrived, to be tried again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        result = send(receiver, endpoints={"ops": {"url": url, "secrets": [NEW]}})
    assert (result.sent, result.permanent, result.unknown, result.phase) == (False, False, False, "connect")


def test_no_proxy_of_the_environment(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would look the name up once more, and connect to what nobody checked."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:9")
    assert send(receiver).sent


@pytest.mark.parametrize(
    ("recipient", "stored"),
    [
        ("ops", "ops"),
        ("https://Example.COM", "https://example.com/"),
        ("HTTPS://example.com:443/Hook?a=1", "https://example.com/Hook?a=1"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x"),
        ("https://example.com./x", "https://example.com/x"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("https://[2606:4700:0::1111]/", "https://[2606:4700::1111]/"),
    ],
)
def test_recipients(recipient: str, stored: str) -> None:
    """A name, or a URL in one form. Cleaning twice is cleaning once."""
    channel = WebhookChannel("w", {"OPTIONS": {"endpoints": {"ops": {}}, "secrets": [NEW]}})
    assert channel.clean_recipient(recipient) == channel.clean_recipient(stored) == stored


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        "secret",
        "you@secret.example",
        "http://secret.example/",
        "ftp://secret.example/",
        "javascript://secret.example/",
        "https://",
        "https:///secret",
        "https://user:secret@example.com/",
        "https://secret.example/#part",
        "https://secret.example:25/",
        "https://secret.example:99999/",
        "https://secret.example\\@127.0.0.1/",
        "https://secret.example/ x",
        "https://secret.example/\r\nX: y",
        "https://secret.example/\n",
        "https://secret.example/\u017f",
        "https://secret%2eexample/",
        "https://-secret-.example/",
        f"https://{'secret' * 20}.example/",
        f"https://secret.example/{'x' * 2048}",
        "https://127.0.0.1/secret",
        "https://[::1]/secret",
        "https://[::ffff:7f00:1]/secret",
        "https://2130706433/secret",
        "https://0x7f.1/secret",
        "https://0177.0.0.1/secret",
        "https://127.1/secret",
        "https://169.254.169.254/secret",
        "https://①②⑦.⓪.⓪.①/secret",
    ],
)
def test_refused_at_the_door(recipient: str) -> None:
    """Without a look-up, and without repeating what was asked for."""
    channel = WebhookChannel("w", {"OPTIONS": {"endpoints": {"ops": {}}, "secrets": [NEW]}})
    with pytest.raises(ValidationError) as caught:
        channel.clean_recipient(recipient)
    assert "secret" not in str(caught.value.messages)


def test_no_urls_without_secrets(receiver: Receiver) -> None:
    """With endpoints only, a request cannot name a host at all."""
    channel = WebhookChannel("w", {"OPTIONS": options(receiver)})
    with pytest.raises(ValidationError, match="no such endpoint"):
        channel.clean_recipient("https://example.com/")


def test_an_endpoint_that_is_gone(receiver: Receiver) -> None:
    """In a rolling deploy another worker may know it: tried again. A URL that settings no longer allow is not."""
    assert (send(receiver, to="gone").permanent, send(receiver, to="gone").phase) == (False, "address")
    assert send(receiver, to=receiver.url(), secrets=[OLD]).permanent
    assert receiver.posts == []


@pytest.mark.parametrize(
    ("given", "id"),
    [
        ({"secrets": [OLD], "endpoint": {}}, "E031"),
        ({}, "E032"),
        ({"endpoints": [OLD]}, "E033"),
        ({"endpoints": {"a": {"url": "http://example.com/", "secrets": [OLD]}}}, "E033"),
        ({"endpoints": {"a": {"url": "https://10.0.0.1/", "secrets": [OLD]}}}, "E033"),
        ({"endpoints": {"https://a": {"url": "https://example.com/", "secrets": [OLD]}}}, "E033"),
        ({"endpoints": {"a": {"url": "https://example.com/"}}}, "E034"),
        ({"secrets": OLD}, "E034"),
        ({"secrets": ["whsec_short"]}, "E034"),
        ({"secrets": ["whsec_" + base64.b64encode(bytes(23)).decode()]}, "E034"),
        ({"secrets": [OLD], "allow": ["10.0.0.1/8"]}, "E035"),
        ({"secrets": [OLD], "allow": [7]}, "E035"),
        ({"secrets": [OLD], "allow": "10.0.0.1"}, "E035"),
        ({"secrets": [OLD], "type": 7}, "E040"),
        ({"secrets": [OLD], "ca_file": 7}, "E038"),
        ({"secrets": [OLD], "total_timeout": 0}, "E036"),
        ({"secrets": [OLD], "ports": 8443}, "E037"),
        ({"secrets": [OLD], "http": "no"}, "E039"),
        ({"secrets": [OLD], "ca_file": "/no/such.pem"}, "E038"),
    ],
)
def test_options_are_checked(given: dict[str, Any], id: str) -> None:
    """Each mistake has its id, and no message repeats a secret."""
    (error,) = WebhookChannel("w", {"OPTIONS": given}).check()
    assert (error.id, bool(error.hint)) == (f"notifications.{id}", True)
    assert OLD not in f"{error.msg}{error.hint}"


def test_right_options(receiver: Receiver) -> None:
    """These are not refused."""
    assert WebhookChannel("w", {"OPTIONS": options(receiver, secrets=[OLD, NEW])}).check() == []


@pytest.mark.django_db
def test_from_the_door_to_the_receiver(receiver: Receiver, settings: Any) -> None:
    """Accepted, refused once, sent: one webhook-id, and both attempts say what the receiver answered."""
    settings.CHANNELS = {
        "webhook": {"BACKEND": BACKEND, "OPTIONS": options(receiver), "RETRY": {"BASE": timedelta(0)}}
    }
    answers = iter([(503, b"busy"), (200, b"thanks")])
    receiver.behaviour = lambda handler: handler.answer(*next(answers))
    row = services.accept(recipient="ops", message="hello", channel="webhook", via="queue")
    for _ in range(2):
        tasks.deliver.call([str(row.pk)])
    row.refresh_from_db()
    assert row.status == Status.SENT
    assert [(a.number, a.outcome, a.code, a.response, a.phase) for a in row.attempts.order_by("number")] == [
        (1, Outcome.RETRY, "503", "busy", "response"),
        (2, Outcome.SENT, "200", "thanks", "response"),
    ]
    (first, body), (second, again) = receiver.posts
    assert first["webhook-id"] == second["webhook-id"] == str(row.pk)
    assert body == again


@pytest.mark.django_db
def test_what_may_have_arrived_can_be_held(receiver: Receiver, settings: Any) -> None:
    """With UNKNOWN: hold, a broken answer waits for somebody to decide."""
    settings.CHANNELS = {
        "webhook": {"BACKEND": BACKEND, "OPTIONS": options(receiver), "UNKNOWN": "hold"},
    }
    receiver.behaviour = lambda handler: None
    row = services.accept(recipient="ops", message="hello", channel="webhook", via="queue")
    tasks.deliver.call([str(row.pk)])
    assert Notification.objects.get(pk=row.pk).status == Status.UNKNOWN
    assert row.attempts.get().outcome == Outcome.UNKNOWN
