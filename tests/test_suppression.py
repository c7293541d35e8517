"""The suppression list: whoever is on it gets nothing, whenever it came there before the claim."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from notifications import suppression, tasks
from notifications.exceptions import DeliveryError
from notifications.models import Notification, Status, Suppression
from tests import recording_channel

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]


class AddressChannel(recording_channel.RecordingChannel):
    suppressible = True


@pytest.fixture(autouse=True)
def to_addresses(settings: Any) -> None:
    settings.CHANNELS = settings.CHANNELS | {
        "address": {"BACKEND": "tests.test_suppression.AddressChannel"},
    }


def deliver(*rows: Notification) -> None:
    tasks.deliver.call([str(row.pk) for row in rows])
    for row in rows:
        row.refresh_from_db()


def test_a_suppressed_one_is_cancelled(accepted: Accept) -> None:
    """Listed between accept and delivery: never sent, cancelled with the reason, and no attempt was made."""
    row = accepted(channel="address")
    suppression.add("You@Example.com", reason="complaint")
    deliver(row)
    assert (row.status, row.reason, row.attempt_count) == (Status.CANCELLED, "suppressed: complaint", 0)
    assert (row.attempts.count(), row.next_attempt_at, row.lease_expires_at) == (0, None, None)
    assert row.finished_at
    assert recording_channel.sent() == []


def test_a_mixed_batch(accepted: Accept, django_assert_num_queries: Any) -> None:
    """The others are sent, by one call and as many statements as without a list."""
    rows = [accepted(channel="address", recipient=f"YOU{n}@example.com") for n in range(6)]
    suppression.add("you2@example.com")
    suppression.add("you4@example.com")
    with django_assert_num_queries(2 if connection.vendor == "postgresql" else 5):
        tasks.deliver.call([str(row.pk) for row in rows])
    assert [m.recipient for m in recording_channel.sent()] == [f"YOU{n}@example.com" for n in (0, 1, 3, 5)]


def test_a_category_stops_only_itself(accepted: Accept) -> None:
    """Another category, and what has none because it must arrive, are sent."""
    suppression.add("you@example.com", category="news", reason="unsubscribed")
    news, offers, bill = (accepted(channel="address", category=name) for name in ("news", "offers", ""))
    deliver(news, offers, bill)
    assert [row.status for row in (news, offers, bill)] == [Status.CANCELLED, Status.SENT, Status.SENT]


def test_without_a_category_everything_is_stopped(accepted: Accept) -> None:
    """Also what has a category of its own, and what must arrive."""
    suppression.add("you@example.com", reason="complaint")
    news, bill = (accepted(channel="address", category=name) for name in ("news", ""))
    deliver(news, bill)
    assert [row.status for row in (news, bill)] == [Status.CANCELLED, Status.CANCELLED]


def test_a_channel_that_writes_to_no_address(accepted: Accept) -> None:
    """The list is of addresses: another channel does not ask it."""
    row = accepted()
    suppression.add("you@example.com")
    deliver(row)
    assert row.status == Status.SENT


def test_a_bounce_is_the_last(accepted: Accept) -> None:
    """The address goes on the list with the record of the bounce, and the next one is cancelled for it."""
    first, second = accepted(channel="address"), accepted(channel="address")

    def bounce(message: Any) -> None:
        raise DeliveryError("no such mailbox", permanent=True, bounced=True)

    recording_channel.behaviours[first.recipient] = bounce
    deliver(first)
    deliver(second)
    assert (first.status, second.status, second.reason) == ("failed", "cancelled", "suppressed: bounce")
    entry = Suppression.objects.get()
    assert (entry.address, entry.reason, entry.notification) == ("you@example.com", "bounce", first.pk)


def test_a_bounce_of_one_that_is_listed_meanwhile_adds_nothing(
    accepted: Accept, caplog: pytest.LogCaptureFixture
) -> None:
    """The first reason is kept, and the log names no entry that there is not."""
    row = accepted(channel="address")

    def bounce(message: Any) -> None:
        suppression.add(message.recipient, reason="complaint")
        raise DeliveryError("no such mailbox", permanent=True, bounced=True)

    recording_channel.behaviours[row.recipient] = bounce
    caplog.set_level("INFO", "notifications")
    deliver(row)
    entry = Suppression.objects.get()
    lines = [record.getMessage() for record in caplog.records if "event=listed" in record.getMessage()]
    assert lines == [f"suppression={entry.pk} event=listed reason=complaint"]


def test_a_failure_is_no_bounce(accepted: Accept) -> None:
    """A refused login is permanent too: the address is not to blame."""
    row = accepted(channel="address")

    def refuse(message: Any) -> None:
        raise DeliveryError("login refused", permanent=True)

    recording_channel.behaviours[row.recipient] = refuse
    deliver(row)
    assert not Suppression.objects.exists()


def test_add_and_remove(accepted: Accept) -> None:
    """Added twice it is there once, with the first reason; removed, the address is written to again."""
    entry, is_new = suppression.add("you@example.com", reason="bounce")
    again, is_new_again = suppression.add("YOU@example.com", reason="manual")
    assert (entry.pk, is_new, is_new_again, again.reason) == (again.pk, True, False, "bounce")
    suppression.remove([entry])
    row = accepted(channel="address")
    deliver(row)
    assert row.status == Status.SENT
    with pytest.raises(ValidationError):
        suppression.add("nobody")
