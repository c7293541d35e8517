"""E-mail from the task to the row: what a mail server answers, and what becomes of the notification and the address."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework.test import APIClient

from notifications import tasks
from notifications.models import Attempt, Notification, Outcome, Status, Suppression
from notifications.senders import senders
from tests.processes import wait_until
from tests.smtp_server import DROP, Server, serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_lookup")]
Accept = Callable[..., Notification]


@pytest.fixture
def ann(email: Any, accepted: Accept, settings: Any) -> Callable[..., Notification]:
    """A notification to ann@example.com on the channel of this server. What is tried again is tried at once."""

    def make(server: Server, **channel: Any) -> Notification:
        email(server.port)
        configured = {**settings.CHANNELS["email"], "RETRY": {"BASE": timedelta(0)}, **channel}
        settings.CHANNELS = {**settings.CHANNELS, "email": configured}
        return accepted(channel="email", recipient="ann@example.com")

    return make


def deliver(row: Notification) -> Notification:
    """By the task of the queue, on a sender's thread, until nothing is being sent."""
    tasks.deliver_slowly.call([str(row.pk)])
    wait_until(lambda: senders().free == senders().limit)
    row.refresh_from_db()
    return row


def said(attempt: Attempt) -> tuple[str, str, str, str]:
    return attempt.outcome, attempt.phase, attempt.code, attempt.response


@pytest.mark.slow
def test_a_bounce_stops_the_next_one(ann: Any, accepted: Accept) -> None:
    """No such mailbox: failed with what the server said, the address listed for it, the next one never tried."""
    with serving(lambda at, to: "550 5.1.1 no such user" if at == "rcpt" else None) as server:
        first = deliver(ann(server))
        assert first.status == Status.FAILED
        assert said(first.attempts.get()) == (Outcome.FAILED, "rcpt", "550", "5.1.1 no such user")
        entry = Suppression.objects.get()
        assert (entry.address, entry.category) == ("ann@example.com", "")
        assert (entry.reason, entry.notification) == ("bounce", first.pk)
        before = server.connections
        second = deliver(accepted(channel="email", recipient="Ann@EXAMPLE.com"))
        assert (second.status, second.reason) == (Status.CANCELLED, "suppressed: bounce")
        assert (second.attempts.count(), server.connections) == (0, before)


@pytest.mark.slow
def test_a_policy_is_no_bounce(ann: Any, accepted: Accept) -> None:
    """5.7.1 is about this service or this message: failed as well, but the address is not to blame."""
    with serving(lambda at, to: "550 5.7.1 not by our policy" if at == "rcpt" else None) as server:
        first = deliver(ann(server))
        second = deliver(accepted(channel="email", recipient="ann@example.com"))
    assert [row.status for row in (first, second)] == [Status.FAILED] * 2
    assert said(first.attempts.get()) == (Outcome.FAILED, "rcpt", "550", "5.7.1 not by our policy")
    assert not Suppression.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["rcpt", "end"])
def test_greylisting(ann: Any, step: str) -> None:
    """A server that says "later", to the recipient or to the content: queued again, and sent as the same message."""
    turns = iter(["451 4.7.1 come back later"])
    with serving(lambda at, to: next(turns, None) if at == step else None) as server:
        row = deliver(ann(server))
        assert (row.status, row.attempt_count) == (Status.QUEUED, 1)
        deliver(row)
    assert (row.status, row.attempt_count) == (Status.SENT, 2)
    outcomes = [said(attempt) for attempt in row.attempts.order_by("number")]
    phase = "rcpt" if step == "rcpt" else "data"
    assert outcomes == [
        (Outcome.RETRY, phase, "451", "4.7.1 come back later"),
        (Outcome.SENT, "data", "250", "2.0.0 queued as 7"),
    ]
    assert {mail["Message-ID"] for mail in server.seen} == {f"<{row.pk}@example.org>"}
    assert len(server.messages) == 1


@pytest.mark.slow
def test_the_date_of_a_scheduled_one(ann: Any, accepted: Accept) -> None:
    """It is of the time it was scheduled for, to the second: by its Date a mail program sorts it."""
    with serving() as server:
        at_once, later = ann(server), timezone.now() + timedelta(days=30)
        scheduled = accepted(channel="email", recipient="bob@example.com", due_at=later)
        Notification.objects.update(next_attempt_at=Now())
        for row in (at_once, scheduled):
            deliver(row)
    dates = {mail["To"]: mail["Date"].datetime for mail in server.messages}
    assert dates == {
        "ann@example.com": at_once.created_at.replace(microsecond=0),
        "bob@example.com": scheduled.due_at.replace(microsecond=0),
    }


@pytest.mark.slow
@pytest.mark.parametrize(("call", "arrives"), [("confirm", 1), ("send-again", 2)])
def test_a_held_one(ann: Any, api: APIClient, call: str, arrives: int) -> None:
    """The connection drops after the last byte: held, sent no more by itself, and settled by somebody who knows."""
    turns = iter([DROP])
    with serving(lambda at, to: next(turns, None) if at == "end" else None) as server:
        row = deliver(ann(server, UNKNOWN="hold"))
        assert row.status == Status.UNKNOWN
        assert said(row.attempts.get())[:2] == (Outcome.UNKNOWN, "data")
        assert deliver(row).status == Status.UNKNOWN  # an entry that comes twice
        assert len(server.seen) == 1
        assert api.post(f"/api/v1/notifications/{row.pk}/{call}").status_code in (200, 202)
        assert deliver(row).status == Status.SENT
    assert [mail["Message-ID"] for mail in server.seen] == [f"<{row.pk}@example.org>"] * arrives
    assert row.attempt_count == arrives
