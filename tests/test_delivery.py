"""The workshop: claim → send → record, and what happens when each of them goes wrong."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

from notifications import lease, services, statements, tasks
from notifications.channels import SendResult
from notifications.exceptions import DeliveryError
from notifications.models import Attempt, Notification, Outcome, Status
from notifications.request_id import request_id
from notifications.signals import accepted as accepted_signal
from notifications.signals import recorded
from tests import recording_channel

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]


def deliver(*rows: Notification) -> None:
    tasks.deliver.call([str(row.pk) for row in rows])
    for row in rows:
        row.refresh_from_db()


def refuse(error: Exception) -> Callable[[Any], None]:
    def behaviour(message: Any) -> None:
        raise error

    return behaviour


def test_queued_sending_sent(accepted: Accept) -> None:
    """The way of a notification, as its channel sees it in the middle: the claim is committed before the send."""
    row = accepted()
    seen = []
    recording_channel.behaviours[row.recipient] = lambda message: seen.append(
        Notification.objects.get(pk=message.id).status
    )
    deliver(row)
    assert (seen, row.status, row.attempt_count) == ([Status.SENDING], Status.SENT, 1)
    (attempt,) = row.attempts.all()
    assert (attempt.number, attempt.outcome, attempt.error) == (1, Outcome.SENT, "")
    assert row.created_at <= attempt.started_at <= attempt.finished_at == row.finished_at


def test_a_second_delivery_changes_nothing(accepted: Accept) -> None:
    """Every task may run twice: the second run sends nothing and writes nothing."""
    row = accepted()
    deliver(row)
    before = Notification.objects.filter(pk=row.pk).values().get()
    deliver(row)
    assert Notification.objects.filter(pk=row.pk).values().get() == before
    assert len(recording_channel.sent()) == Attempt.objects.count() == 1


@pytest.mark.slow
def test_many_are_one_batch(accepted: Accept, django_assert_num_queries: Any) -> None:
    """Batch first: as many statements for 50 as for one, and one call of the channel."""
    rows = [accepted(recipient=f"you{n}@example.com") for n in range(50)]
    for batch in (rows[:1], rows[1:]):
        # claim · record (SQLite: savepoint, update, insert, release)
        with django_assert_num_queries(2 if connection.vendor == "postgresql" else 5):
            tasks.deliver.call([str(row.pk) for row in batch])
    assert [len(batch) for batch in recording_channel.batches] == [1, 49]
    assert set(Notification.objects.values_list("status", flat=True)) == {Status.SENT}


def test_who_does_not_say_how_long_it_took_gets_the_average(
    accepted: Accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the channel says of one goes before the batch's own average."""
    results = [SendResult(sent=True, duration=1000.0), SendResult(sent=True), SendResult(sent=True)]
    monkeypatch.setattr(recording_channel.RecordingChannel, "send", lambda self, messages: results)
    said, *others = (accepted(recipient=f"you{n}@example.com") for n in range(3))
    deliver(said, *others)
    durations = dict(Attempt.objects.values_list("notification_id", "duration"))
    assert durations.pop(said.pk) == 1000.0
    [average] = set(durations.values())
    assert isinstance(average, float)


def test_one_that_fails_does_not_stop_the_others(accepted: Accept) -> None:
    """Each message has its own outcome."""
    first, broken, last = (accepted(recipient=f"{name}@example.com") for name in ("first", "broken", "last"))
    recording_channel.behaviours["broken@example.com"] = refuse(DeliveryError("no route", permanent=True))
    deliver(first, broken, last)
    assert [row.status for row in (first, broken, last)] == [Status.SENT, Status.FAILED, Status.SENT]


def test_a_failure_is_retried_later(accepted: Accept) -> None:
    """The next attempt is an entry of the queue for its time, written with the record of the one that failed."""
    row = accepted()
    first_task = row.task_id
    recording_channel.behaviours[row.recipient] = refuse(
        DeliveryError("busy", retry_after=timedelta(minutes=1))
    )
    deliver(row)
    (attempt,) = row.attempts.all()
    assert (row.status, attempt.outcome, attempt.error) == (Status.QUEUED, Outcome.RETRY, "busy")
    assert timedelta(seconds=55) < row.next_attempt_at - timezone.now() <= timedelta(minutes=1)
    assert row.task_id != first_task
    result = tasks.deliver.get_result(row.task_id)
    assert (result.args, result.status) == ([[str(row.pk)]], "READY")

    deliver(row)
    assert row.attempt_count == 1, "not before its time"


def test_a_permanent_error_ends_it(accepted: Accept) -> None:
    """Trying again cannot help: failed at once."""
    row = accepted()
    recording_channel.behaviours[row.recipient] = refuse(DeliveryError("no such mailbox", permanent=True))
    deliver(row)
    assert (row.status, row.attempts.get().outcome, row.next_attempt_at) == ("failed", Outcome.FAILED, None)


def test_attempts_end(accepted: Accept, settings: Any) -> None:
    """After the last attempt it is failed, and every attempt has its row."""
    settings.CHANNELS = {
        "recording": {**settings.CHANNELS["recording"], "RETRY": {"MAX_ATTEMPTS": 3, "BASE": timedelta(0)}}
    }
    row = accepted()
    recording_channel.behaviours[row.recipient] = refuse(DeliveryError("busy"))
    for _ in range(5):
        deliver(row)
    assert row.status == Status.FAILED
    assert [attempt.outcome for attempt in row.attempts.all()] == [
        Outcome.RETRY,
        Outcome.RETRY,
        Outcome.FAILED,
    ]


def test_a_channel_that_breaks_takes_nobody_with_it(
    accepted: Accept, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a channel is a failed attempt with its traceback in the log, never a lost notification."""
    row = accepted()
    recording_channel.behaviours[row.recipient] = refuse(ZeroDivisionError("a bug"))
    deliver(row)
    assert (row.status, row.attempts.get().error) == (Status.QUEUED, "ZeroDivisionError: a bug")
    (record,) = [record for record in caplog.records if record.name == "notifications.delivery"]
    assert record.exc_info
    assert row.recipient not in caplog.text


def test_a_channel_unknown_to_this_version_is_tried_again(accepted: Accept, settings: Any) -> None:
    """In a rolling deploy another worker may know the channel already."""
    row = accepted()
    settings.CHANNELS = {"log": settings.CHANNELS["log"]}
    deliver(row)
    assert row.status == Status.QUEUED
    assert "does not know the channel" in row.attempts.get().error


def test_who_lost_the_lease_cannot_record(accepted: Accept, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that was taken for dead and comes back is fenced off, and says so."""
    row = accepted()
    recording_channel.behaviours[row.recipient] = lambda message: Notification.objects.filter(
        pk=row.pk
    ).update(attempt_count=2)
    deliver(row)
    assert (row.status, row.attempts.count()) == (Status.SENDING, 0)
    assert f"notification={row.pk} event=fenced" in caplog.text


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_lease_of_a_long_send_is_renewed(accepted: Accept, settings: Any) -> None:
    """While a channel is at work its claim does not pass, however long it takes."""
    settings.NOTIFICATIONS_LEASE = timedelta(milliseconds=300)
    row = accepted()
    leases = []

    def slow(message: Any) -> None:
        first = Notification.objects.get(pk=row.pk).lease_expires_at
        for _ in range(200):  # a poll with a limit, of 10 s
            leases.append(Notification.objects.get(pk=row.pk).lease_expires_at)
            if leases[-1] > first + timedelta(milliseconds=300):
                return
            lease.threading.Event().wait(0.05)

    recording_channel.behaviours[row.recipient] = slow
    deliver(row)
    assert leases[-1] > leases[0] + timedelta(milliseconds=300)
    assert services.recover().lost == []
    assert row.status == Status.SENT


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connection to cut")
def test_the_record_outlives_its_connection(accepted: Accept) -> None:
    """A connection that is cut while the channel sends loses no record: nothing is sent twice for it."""
    row = accepted()
    [(backend,)] = rows("SELECT pg_backend_pid()", connection)

    def cut(message: Any) -> None:
        other = connections.create_connection("default")
        try:
            assert rows(f"SELECT pg_terminate_backend({backend}, 5000)", other) == [(True,)]
        finally:
            other.close()

    recording_channel.behaviours[row.recipient] = cut
    deliver(row)
    assert (row.status, row.attempt_count, len(recording_channel.sent())) == (Status.SENT, 1, 1)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL locks rows, not the database")
def test_the_record_outlives_a_locked_file(
    accepted: Accept, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the file for longer than SQLite waits: the record is tried again until it is free."""
    row = accepted()
    other = connections.create_connection("default")
    other.inc_thread_sharing()

    def lock(message: Any) -> None:
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.01)
        rows("BEGIN IMMEDIATE", other)

    def unlock(record: logging.LogRecord) -> bool:
        if "record=waiting" in record.getMessage():
            other.connection.rollback()
        return True

    recording_channel.behaviours[row.recipient] = lock
    logger = logging.getLogger("notifications.delivery")
    logger.addFilter(unlock)
    try:
        deliver(row)
    finally:
        logger.removeFilter(unlock)
        other.close()
    assert (row.status, row.attempt_count, len(recording_channel.sent())) == (Status.SENT, 1, 1)
    assert "record=waiting count=1" in caplog.text


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_record_is_not_waited_for_longer_than_its_lease(
    accepted: Accept, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the lease the sweep has it: the worker is free again, and says what kept it."""
    settings.NOTIFICATIONS_LEASE = timedelta(milliseconds=120)
    tries: list[int] = []

    def away(*args: Any) -> set[str]:
        tries.append(1)
        raise OperationalError("away")

    monkeypatch.setattr(statements, "record", away)
    with pytest.raises(OperationalError):
        deliver(accepted())
    assert len(tries) == 2


def rows(statement: str, over: Any) -> list[tuple[Any, ...]]:
    with over.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def test_what_was_recorded_is_said(accepted: Accept) -> None:
    """Signals carry ids and outcomes, once for each batch."""
    heard: list[Any] = []

    def listen(sender: Any, **kwargs: Any) -> None:
        heard.append([(record.id, record.outcome) for record in kwargs["records"]])

    recorded.connect(listen)
    try:
        rows = [accepted(recipient=f"you{n}@example.com") for n in range(3)]
        deliver(*rows)
    finally:
        recorded.disconnect(listen)
    assert heard == [[(str(row.pk), "sent") for row in rows]]


def test_a_receiver_that_raises_changes_nothing(accepted: Accept, caplog: pytest.LogCaptureFixture) -> None:
    """One of a project's own: what was accepted is, and of two channels neither is left unsent or unrecorded."""

    def refuse_to_hear(**kwargs: Any) -> None:
        raise ValueError("a receiver's own fault")

    for signal in (accepted_signal, recorded):
        signal.connect(refuse_to_hear)
    try:
        rows = [accepted(), accepted(channel="log")]
        deliver(*rows)
    finally:
        for signal in (accepted_signal, recorded):
            signal.disconnect(refuse_to_hear)
    assert [row.status for row in rows] == [Status.SENT, Status.SENT]
    assert caplog.text.count("a receiver's own fault") >= 4


def test_errors_are_cut_and_cleaned(accepted: Accept) -> None:
    """What another server answered may be long and dirty: it is kept to a size, in a form a database takes."""
    row = accepted()
    recording_channel.behaviours[row.recipient] = refuse(DeliveryError("x\0" * 5000))
    deliver(row)
    assert row.attempts.get().error == "x" * 2000


def test_the_request_is_on_the_lines_of_its_work(accepted: Accept, caplog: pytest.LogCaptureFixture) -> None:
    """X-Request-ID goes along on the row, into whatever process delivers; in a merged batch on the row's own line."""
    rows = []
    for name in ("first", "second"):
        token = request_id.set(f"request-{name}")
        rows.append(accepted(recipient=f"{name}@example.com"))
        request_id.reset(token)
        recording_channel.behaviours[rows[-1].recipient] = refuse(DeliveryError("no", permanent=True))
    deliver(*rows)
    lines = {
        record.getMessage(): record for record in caplog.records if "outcome=failed" in record.getMessage()
    }
    assert sorted(record.request_id for record in lines.values()) == ["request-first", "request-second"]
