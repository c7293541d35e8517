"""E-mail, against a server that speaks SMTP: what goes out, and what each way of breaking comes to."""

import select
import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ValidationError

from notifications import tasks, unsubscribe
from notifications.channels import Message, SendResult
from notifications.models import Notification, Status
from notifications.senders import senders
from tests.processes import free_port, wait_until
from tests.smtp_server import DROP, HANG, Server, serving

pytestmark = pytest.mark.usefixtures("no_lookup")


def message(recipient: str = "ann@example.com", **fields: Any) -> Message:
    defaults = {
        "id": "0199-1",
        "recipient": recipient,
        "subject": "Hi",
        "body": "text\n.dot\n",
        "created_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "attempt": 1,
    }
    return Message(**{**defaults, **fields})


def summary(result: SendResult) -> tuple[bool, bool, bool, str, str]:
    return result.sent, result.permanent, result.unknown, result.code, result.phase


def test_what_goes_out(email: Any) -> None:
    """One recipient, a fixed id, the time of acceptance, no robot's answer wanted; text and HTML, dots kept."""
    with serving() as server:
        [result] = email(server.port).send([message(html="<b>text</b>")])
    assert (result.sent, result.code, result.response) == (True, "250", "2.0.0 queued as 7")
    assert server.envelopes == [["<shop@example.org>", "<ann@example.com>"]]
    [sent] = server.messages
    assert (sent["To"], sent["From"], sent["Subject"]) == ("ann@example.com", "Shop <shop@example.org>", "Hi")
    assert sent["Message-ID"] == "<0199-1@example.org>"
    assert sent["Date"].datetime == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent.get_body(["plain"]).get_content().splitlines() == ["text", ".dot"]
    assert sent.get_body(["html"]).get_content().strip() == "<b>text</b>"


def test_what_settings_say_of_a_message(email: Any, settings: Any) -> None:
    """The domain of its id, the subject of one that has none; redirected, it says whose it is, and so does its link."""
    settings.NOTIFICATIONS_BASE_URL = "https://notify.example.com"
    redirected = {"recipient": "catch@example.com", "meant_for": "ann@example.com", "category": "letter"}
    with serving() as server:
        email(server.port, domain="mail.example.net", subject="News").send(
            [message(subject="", **redirected)]
        )
    [sent] = server.messages
    assert (sent["Message-ID"], sent["Subject"]) == ("<0199-1@mail.example.net>", "News")
    assert (sent["To"], sent["X-Meant-For"]) == ("catch@example.com", "ann@example.com")
    token = sent["List-Unsubscribe"].strip("<>").rpartition("/")[2]
    assert unsubscribe.read(token).address == "ann@example.com"


@pytest.mark.slow
@pytest.mark.parametrize("body", ["Gr\u00fc\u00dfe", "\u4f60\u597d" * 300, "a" * 3000, "\u00fc" * 600])
def test_only_ascii_goes_out(email: Any, body: str) -> None:
    """No server needs 8BITMIME for it (RFC 6152), encoded lines are short (RFC 2045, 2047); the text is as it was."""
    subject = body[:200] + "\u00fc"
    with serving() as server:
        [result] = email(server.port).send([message(body=body, html=f"<b>{body}</b>", subject=subject)])
    assert result.sent
    assert server.contents[0].isascii()
    lines = [
        line for line in server.contents[0].splitlines() if not line.startswith(b"Content-Type: multipart")
    ]
    assert max(map(len, lines)) <= 76
    assert server.messages[0]["Subject"] == subject
    assert server.messages[0].get_body(["plain"]).get_content().strip() == body
    assert server.messages[0].get_body(["html"]).get_content().strip() == f"<b>{body}</b>"


def test_long_headers_stay_whole(email: Any, settings: Any) -> None:
    """A link that is folded at 76 characters is no link any more."""
    settings.NOTIFICATIONS_BASE_URL = "https://notify.example.com"
    with serving() as server:
        email(server.port).send([message(recipient=f"{'a' * 64}@example.com", category="l" * 50)])
    assert b"\r\nList-Unsubscribe: <https://notify.example.com/unsubscribe/" in server.contents[0]


def test_a_sender_with_an_idna_domain(email: Any) -> None:
    """A domain has an ASCII form: in the envelope, in From and in Message-ID."""
    with serving() as server:
        [result] = email(server.port, from_email="B\u00fcro <shop@b\u00fccher.example>").send([message()])
    assert result.sent
    assert server.envelopes[0][0] == "<shop@xn--bcher-kva.example>"
    [sent] = server.messages
    assert sent["From"] == "B\u00fcro <shop@xn--bcher-kva.example>"
    assert sent["Message-ID"] == "<0199-1@xn--bcher-kva.example>"


def test_only_ascii_before_the_at(email: Any) -> None:
    """SMTPUTF8 is not spoken: refused at the door, not by the mail server. A domain has an ASCII form."""
    with pytest.raises(ValidationError, match="ASCII"):
        email(1).clean_recipient("jos\u00e9@example.com")
    assert email(1).clean_recipient("jose@b\u00fccher.example") == "jose@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "from_email",
    [
        "shop@example.org",
        '"Shop, Inc." <shop@example.org>',
        "Shop. Inc <shop@example.org>",
        "Gr\u00fc\u00dfe <shop@example.org> ",
    ],
)
def test_names_of_a_sender(email: Any, from_email: str) -> None:
    """Any that a header can have, also in the form that is out of date."""
    with serving() as server:
        [result] = email(server.port, from_email=from_email).send([message()])
        assert run_checks(tags=["notifications"]) == []
    assert result.sent
    assert server.messages[0]["From"].addresses[0].addr_spec == "shop@example.org"


@pytest.mark.parametrize(
    ("step", "answer", "expected"),
    [
        ("connect", "554 5.7.1 not you", (False, False, False, "554", "connect")),
        ("mail", "550 5.7.1 not this sender", (False, False, False, "550", "mail")),
        ("rcpt", "451 4.7.1 come back later", (False, False, False, "451", "rcpt")),
        ("rcpt", "550 5.1.1 no such user", (False, True, False, "550", "rcpt")),
        ("rcpt", "421 4.3.2 closing", (False, False, False, "421", "rcpt")),
        ("rcpt", "450 5.1.1 not that it is gone", (False, False, False, "450", "rcpt")),
        ("rcpt", "530 5.7.0 log in first", (False, False, False, "530", "rcpt")),
        ("rcpt", "550 5.1.8 no such domain", (False, False, False, "550", "rcpt")),
        (
            "rcpt",
            "553 5.7.1 <shop@example.org>: Sender address rejected",
            (False, False, False, "553", "rcpt"),
        ),
        ("rcpt", "504 5.5.2 <web1>: Helo command rejected: no dot", (False, False, False, "504", "rcpt")),
        ("rcpt", "554 5.7.1 <web1[::1]>: Client host rejected: no", (False, False, False, "554", "rcpt")),
        ("rcpt", "554 5.7.1 Client host [::1] blocked using a list", (False, False, False, "554", "rcpt")),
        ("rcpt", "550-not a user here\r\n550 Sender verify failed", (False, False, False, "550", "rcpt")),
        ("rcpt", "556 5.1.10 no mail here", (False, True, False, "556", "rcpt")),
        ("rcpt", "251 2.1.5 will forward", (True, False, False, "250", "data")),
        ("rcpt", "252 2.1.5 cannot tell, but take it", (True, False, False, "250", "data")),
        ("mail", "200 2.1.0 ok", (True, False, False, "250", "data")),
        ("rcpt", "354 not an answer to that", (False, False, False, "354", "rcpt")),
        ("data", "250 not an answer to that", (False, False, False, "250", "data")),
        ("rcpt", DROP, (False, False, False, "", "rcpt")),
        ("data", DROP, (False, False, False, "", "data")),
        ("end", "452 4.2.2 full", (False, False, False, "452", "data")),
        ("end", "554 5.1.1 said too late", (False, True, False, "554", "data")),
        ("end", "554 5.6.0 spam", (False, True, False, "554", "data")),
        ("end", "200 2.0.0 taken", (True, False, False, "200", "data")),
        ("end", "251 2.0.0 taken, and forwarded", (True, False, False, "251", "data")),
        ("end", "354 still?", (False, False, True, "354", "data")),
        ("end", "taken", (False, False, True, "-1", "data")),
        ("end", DROP, (False, False, True, "", "data")),
    ],
)
def test_each_way_of_breaking(email: Any, step: str, answer: str, expected: Any) -> None:
    """Tried again, given up or unknown: by whose matter it is, and by how far it came."""
    with serving(lambda at, argument: answer if at == step else None) as server:
        [result] = email(server.port).send([message()])
    assert summary(result) == expected
    assert result.bounced == (answer in ("550 5.1.1 no such user", "556 5.1.10 no mail here"))


@pytest.mark.slow
@pytest.mark.parametrize(("step", "unknown"), [("rcpt", False), ("end", True)])
def test_a_server_that_hangs(email: Any, step: str, unknown: bool) -> None:
    """Each step has a time limit, and what hangs after the data may have arrived."""
    with serving(lambda at, argument: HANG if at == step else None) as server:
        [result] = email(server.port, timeout=0.3, data_timeout=0.3).send([message()])
    assert (result.sent, result.unknown) == (False, unknown)


def too_late(gate: Event) -> str:
    """An answer that comes when nobody waits for it any more."""
    gate.wait(10)
    return "250 too late"


@pytest.mark.slow
def test_the_answer_to_the_content_has_a_time_of_its_own(email: Any) -> None:
    """A server may look at the whole message before it answers. The steps of the next message have theirs again."""
    gate = Event()
    with serving(lambda at, argument: too_late(gate) if at == "end" else None) as server:
        [result] = email(server.port, data_timeout=0.2).send([message()])
        assert (result.sent, result.unknown) == (False, True)
        server.answers = lambda at, to: too_late(gate) if at == "rcpt" and "bob" in to else None
        results = email(server.port, timeout=0.2).send([message(), message("bob@example.com")])
        gate.set()
    assert [(result.sent, result.phase) for result in results] == [(True, "data"), (False, "rcpt")]


def test_a_batch_does_not_take_for_ever(email: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not begun when its time is over is tried later, on its own."""
    monkeypatch.setattr("notifications.channels.email.BUDGET", -1)
    with serving() as server:
        [result] = email(server.port).send([message()])
    assert (summary(result), server.connections) == ((False, False, False, "", "connect"), 0)


def test_a_server_that_hangs_up_before_the_last_line(email: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot have taken it: tried again, and not unknown."""
    send = smtplib.SMTP.send

    def until_reset(smtp: Any, data: bytes) -> None:
        send(smtp, data)
        if len(data) > 100:  # the content
            poll = select.poll()
            poll.register(smtp.sock, 0)  # for errors alone, of which a reset is one
            assert poll.poll(30_000)

    monkeypatch.setattr(smtplib.SMTP, "send", until_reset)
    with serving(lambda at, to: DROP if at == "content" else None) as server:
        [result] = email(server.port).send([message()])
    assert summary(result) == (False, False, False, "", "data")


def test_one_connection_for_a_batch(email: Any) -> None:
    """One that is refused, or no e-mail at all, stops nobody and costs no connection."""
    refused = "bob@example.com"
    with serving(lambda at, to: "550 5.1.1 no" if at == "rcpt" and refused in to else None) as server:
        results = email(server.port).send(
            [
                message("a@example.com"),
                message(refused),
                message("a@x.com, b@x.com"),
                message("c@example.com"),
            ]
        )
    assert [result.sent for result in results] == [True, False, False, True]
    assert (server.connections, len(server.messages)) == (1, 2)
    assert results[2].permanent


def test_it_connects_again_after_a_break(email: Any) -> None:
    """The one whose connection broke is tried again later; the next one goes out on a new connection."""
    lost = "bob@example.com"
    with serving(lambda at, to: DROP if at == "end" and lost in to else None) as server:
        results = email(server.port).send([message("a@example.com"), message(lost), message("c@example.com")])
    assert [(result.sent, result.unknown) for result in results] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    assert server.connections == 2


def test_a_limit_of_messages_for_a_connection(email: Any) -> None:
    """A server that ends a used connection between two messages loses none of them."""
    turns = iter([None, "421 4.7.0 enough", None])
    with serving(lambda at, to: next(turns) if at == "mail" else None) as server:
        results = email(server.port).send([message("a@example.com"), message("b@example.com")])
    assert [result.sent for result in results] == [True, True]
    assert server.connections == 2


@pytest.mark.parametrize("where", ["rset", "mail"])
def test_a_server_that_hangs_up_after_a_refusal(email: Any, where: str) -> None:
    """Too many errors for one connection, says many a server, even at the first: that holds up nobody else."""
    turns = iter([None, "421 4.7.0 too many errors"]) if where == "mail" else iter(["421 4.7.0 bye"])

    def answers(at: str, to: str) -> str | None:
        return "450 4.2.0 greylisted" if "bob" in to else next(turns, None) if at == where else None

    with serving(answers) as server:
        results = email(server.port).send([message("bob@example.com"), message("a@example.com")])
    assert [(result.sent, result.code) for result in results] == [(False, "450"), (True, "250")]
    assert server.connections == 2


def test_what_is_no_answer_ends_the_connection(email: Any) -> None:
    """Whatever else is read from it would be the answer to something else: the next message has a new connection."""
    stray = "note: disk is slow\r\n250 2.0.0 queued as 7"
    with serving(lambda at, to: stray if at == "end" and "bob" in to else None) as server:
        results = email(server.port).send([message("bob@example.com"), message("a@example.com")])
    assert [summary(result)[:3] for result in results] == [(False, False, True), (True, False, False)]
    assert [len(server.messages), server.connections] == [1, 2]


def test_failover(email: Any) -> None:
    """The first server is away: the next one takes it. Nothing that began is sent by two."""
    with serving() as backup:
        results = email(free_port(), backup.port).send([message("a@example.com"), message("b@example.com")])
        assert [result.sent for result in results] == [True, True]
        assert backup.connections == 1
        with serving(lambda at, to: DROP if at == "end" else None) as first:
            [result] = email(first.port, backup.port).send([message()])
        assert (result.unknown, len(backup.messages)) == (True, 2)


def test_failover_from_a_host_that_cannot_be_written(email: Any, settings: Any) -> None:
    """Nobody was reached, whatever the reason: the next one takes it."""
    with serving() as backup:
        channel = email(1, backup.port)
        settings.MAILERS["default"]["OPTIONS"]["host"] = f"{'m' * 64}.example"
        [result] = channel.send([message()])
    assert (result.sent, backup.connections) == (True, 1)


def test_a_mailer_that_comes_back(email: Any) -> None:
    """It is asked again by the next batch of the same thread; one that is there keeps its connection."""
    turns = iter(["421 4.3.2 restarting"])
    with serving(lambda at, to: next(turns, None) if at == "connect" else None) as server:
        channel = email(server.port)
        with channel.together():
            results = [channel.send([message(f"{name}@example.com")])[0] for name in "abc"]
        assert [result.sent for result in results] == [False, True, True]
        assert server.connections == 2
        assert channel.send([message()])[0].sent
        assert server.connections == 3


def test_header_injection(email: Any) -> None:
    """A line end in a header is refused for good, before anything goes out."""
    with serving() as server:
        [result] = email(server.port).send([message(subject="a\nBcc: eve@example.com")])
    assert (result.permanent, result.phase, server.connections) == (True, "compose", 0)


@pytest.mark.parametrize(
    ("options", "id"),
    [
        ({"host": "x"}, "notifications.E020"),
        ({"from_email": "nobody"}, "notifications.E020"),
        ({"from_email": "b\u00fcro@example.org"}, "notifications.E020"),
        ({"from_email": f"shop@{'b' * 64}.example"}, "notifications.E020"),
        ({"from_email": "Shop shop@example.org"}, "notifications.E020"),
        ({"from_email": "Shop <shop@example.org"}, "notifications.E020"),
        ({"from_email": "Shop\n<shop@example.org>"}, "notifications.E020"),
        ({"from_email": "a@example.org, b@example.org"}, "notifications.E020"),
        ({"timeout": 0}, "notifications.E020"),
        ({"data_timeout": 0}, "notifications.E020"),
        ({"mailers": "default"}, "notifications.E020"),
        ({"mailers": 7}, "notifications.E020"),
        ({"subject": None}, "notifications.E020"),
        ({"timeout": float("nan")}, "notifications.E020"),
        ({"mailers": ["no such"]}, "notifications.E021"),
    ],
)
def test_options_are_checked(email: Any, options: dict[str, Any], id: str) -> None:
    """At start, by name."""
    email(1, **options)
    assert [found.id for found in run_checks(tags=["notifications"])] == [id]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_from_the_queue(email: Any, server: Server, accepted: Any) -> None:
    """Accepted, sent over one connection by one thread, recorded; the redirect holds here too."""
    email(server.port)
    rows = [accepted(channel="email", recipient=f"you{n}@example.com") for n in range(5)]
    tasks.deliver_slowly.call([str(row.pk) for row in rows])
    wait_until(lambda: Notification.objects.filter(status=Status.SENT).count() == 5)
    wait_until(lambda: senders().free == senders().executor._max_workers)
    assert (server.connections, len(server.messages)) == (1, 5)
