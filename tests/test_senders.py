"""Channels that wait on the network: sent side by side, never more than the process may, nobody behind a stuck one."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from notifications import senders as room
from notifications import tasks
from notifications.exceptions import DeliveryError
from notifications.models import Attempt, Notification, Status
from tests import recording_channel
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
Accept = Callable[..., Notification]


@pytest.fixture(autouse=True)
def three_senders(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.NOTIFICATIONS_CONCURRENT_SENDS = 3
    monkeypatch.setattr(room, "_senders", None)
    yield
    room.senders().executor.shutdown(wait=True)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What sends to stuck@example.com waits for."""
    event = threading.Event()
    recording_channel.behaviours["stuck@example.com"] = lambda message: event.wait(30)
    yield event
    event.set()


def statuses() -> dict[str, str]:
    return dict(Notification.objects.values_list("recipient", "status"))


def deliver(*rows: Notification) -> None:
    tasks.deliver_slowly.call([str(row.pk) for row in rows])


def finished(count: int) -> bool:
    return Notification.objects.filter(finished_at__isnull=False).count() == count


@pytest.mark.slow
def test_a_lane_of_its_own(accepted: Accept) -> None:
    """A channel that waits is delivered by another task than a quick one, retries included."""
    accepted(channel="recording")
    slow = accepted(channel="waiting")
    funcs = [entry.func() for entry in OrmQ.objects.order_by("pk")]
    assert funcs == ["notifications.tasks.deliver.call", "notifications.tasks.deliver_slowly.call"]

    def busy(message: Any) -> None:
        raise DeliveryError("busy", retry_after=timedelta(minutes=1))

    recording_channel.behaviours[slow.recipient] = busy
    deliver(slow)
    wait_until(lambda: Notification.objects.get(pk=slow.pk).attempts.exists())
    slow.refresh_from_db()
    assert slow.status == Status.QUEUED
    assert OrmQ.objects.latest("pk").func() == "notifications.tasks.deliver_slowly.call"


@pytest.mark.slow
def test_one_that_is_stuck_holds_up_nobody(accepted: Accept, gate: threading.Event) -> None:
    """The rest of its batch is sent and recorded, and the task ends, while it hangs."""
    recipients = ["stuck@example.com", *(f"you{n}@example.com" for n in range(10))]
    deliver(*(accepted(channel="waiting", recipient=recipient) for recipient in recipients))
    wait_until(lambda: finished(10))
    assert statuses()["stuck@example.com"] == Status.SENDING
    gate.set()
    wait_until(lambda: finished(11))
    assert Attempt.objects.count() == 11


@pytest.mark.slow
def test_no_more_are_claimed_than_can_begin(accepted: Accept, gate: threading.Event) -> None:
    """The lease is taken at execution: what waits for a free thread is still queued, and can be cancelled."""
    rows = [accepted(channel="waiting", recipient="stuck@example.com") for _ in range(5)]

    def call() -> None:
        try:
            deliver(*rows)
        finally:
            connection.close()

    caller = threading.Thread(target=call)
    caller.start()
    wait_until(lambda: len(recording_channel.sent()) == 3)
    counts = [
        Notification.objects.filter(status=status).count() for status in (Status.SENDING, Status.QUEUED)
    ]
    assert counts == [3, 2]
    rows[4].cancel()
    gate.set()
    caller.join(timeout=30)
    wait_until(lambda: finished(5))
    assert len(recording_channel.sent()) == 4


def test_what_cannot_be_claimed_costs_no_thread(accepted: Accept) -> None:
    """Ids that are final, unknown or not due give their threads back."""
    row = accepted(channel="waiting", due_at=timezone.now() + timedelta(hours=1))
    for _ in range(5):
        deliver(row, row, row)
    assert room.senders().free == 3


def test_a_broken_database_costs_no_thread(accepted: Accept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that raises gives its threads back, and the error goes to the task."""
    row = accepted(channel="waiting")
    monkeypatch.setattr("notifications.statements.claim", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        deliver(row)
    assert room.senders().free == 3


@pytest.mark.slow
def test_an_error_is_logged_and_the_thread_lives(
    accepted: Accept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be recorded is said once, with its traceback; its lease will pass."""
    monkeypatch.setattr("notifications.delivery.settle", lambda *args: 1 / 0)
    deliver(accepted(channel="waiting"))
    wait_until(lambda: room.senders().free == 3)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info
    assert Notification.objects.get().status == Status.SENDING
