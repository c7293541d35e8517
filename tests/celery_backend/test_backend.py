"""The `celery` backend without a broker: what is kept, and for how long."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.tasks import task_backends
from django.tasks.exceptions import TaskResultDoesNotExist
from django.utils import timezone
from django_q.models import OrmQ

from notifications import health, services
from notifications.backends.celery import execution, outbox
from notifications.backends.celery.conf import check_options
from notifications.backends.celery.publisher import Publisher, publish_due
from notifications.backends.enqueueing import running_on
from notifications.models import Notification
from tests.queue import tasks

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]


def content(task: Any, *args: Any) -> dict[str, Any]:
    from notifications.backends.queue import package

    return {**package.content(task, package.new_id(), args, {}), "queue": "default"}


@pytest.mark.django_db(transaction=True)
def test_row_and_entry_are_one_transaction(celery: Publisher, accepted: Accept) -> None:
    """A request that rolls back leaves nothing behind, and nothing to publish."""
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        accepted(via="celery")
        raise ZeroDivisionError
    assert not OrmQ.objects.exists()
    assert not Notification.objects.exists()
    row = accepted(via="celery")
    assert row.task_id.startswith("celery-")
    assert OrmQ.objects.get().key == outbox.key("celery")


def test_a_broker_that_is_down_leaves_the_entry(celery: Publisher, accepted: Accept) -> None:
    """Nothing is lost, the second caller pays nothing, and the probe says so."""
    accepted(via="celery")
    OrmQ.objects.update(lock=timezone.now())
    assert publish_due("celery") == 0
    assert celery.is_down
    assert OrmQ.objects.get().lock <= timezone.now()
    backend: Any = task_backends["celery"]
    assert "waits in the database" in backend.degraded()


def test_what_the_outbox_holds_is_not_missing(celery: Publisher, accepted: Accept) -> None:
    """Missing is what is neither in the database nor young enough to be on its way."""
    backend: Any = task_backends["celery"]
    row = accepted(via="celery")
    assert backend.missing([row.task_id, "other"]) == {"other"}
    OrmQ.objects.all().delete()
    assert backend.missing([row.task_id]) == set(), "its message may be with the broker"
    old = f"celery-{'0' * 12}7{'0' * 19}-1"
    assert backend.missing([old]) == {old}
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(row.task_id)


def test_what_is_scheduled_stays_with_celery(celery: Publisher, accepted: Accept) -> None:
    """A time waits in the database, under this backend's own key."""
    due_at = timezone.now() + timedelta(hours=1)
    accepted(via="celery", due_at=due_at)
    entry = OrmQ.objects.get()
    assert (entry.key, entry.lock) == (outbox.key("celery"), due_at)


def test_bulk_is_published_in_parts(celery: Publisher) -> None:
    """One entry for a hundred notifications, and each row knows its task."""
    item = {"recipient": "you@example.com", "message": "m", "channel": "recording", "via": "celery"}
    rows = services.accept_many([item] * 150)
    assert OrmQ.objects.count() == 2
    assert {row.task_id[:7] for row in rows if isinstance(row, Notification)} == {"celery-"}


def test_a_retry_stays_where_it_ran(celery: Publisher, accepted: Accept) -> None:
    """A Celery worker queues the next attempt for Celery workers."""
    row = accepted(via="celery")
    OrmQ.objects.all().delete()
    from tests import recording_channel

    def fail(message: Any) -> None:
        raise OSError

    recording_channel.behaviours[row.recipient] = fail
    from notifications.tasks import deliver

    execution.run("celery", content(deliver, [str(row.pk)]), redelivered=False)
    assert OrmQ.objects.get().key == outbox.key("celery")
    assert running_on.get() == "default", "nothing leaks out of the unit"


def test_async_tasks_and_failures(celery: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    """A task that raises, or leaves, ends no worker: one ERROR record."""
    execution.run("celery", content(tasks.add_async, 1), redelivered=False)
    with caplog.at_level(logging.ERROR):
        execution.run("celery", content(tasks.leave, 1), redelivered=False)
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_a_task_that_is_cut_off_has_not_finished(
    celery: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its process is told to end, by a cold shutdown or by SIGTERM to all: the broker gives it to somebody else."""
    monkeypatch.setattr("billiard.common._should_have_exited", [True])  # as its signal handler leaves it
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit):
        execution.run("celery", content(tasks.leave, 1), redelivered=False)
    assert not caplog.records, "it has not failed"
    execution.run("celery", content(tasks.add, 1), redelivered=False)


def test_while_the_database_is_away_no_task_fails(
    celery: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a whole backlog would fail in a moment. An error of a database that answers is the task's own."""
    caplog.set_level(logging.ERROR)
    execution.run("celery", content(tasks.need_database), redelivered=False)
    assert len(caplog.records) == 1
    monkeypatch.setattr(outbox, "is_away", lambda: True)
    with pytest.raises(OperationalError):
        execution.run("celery", content(tasks.need_database), redelivered=False)
    assert len(caplog.records) == 1


def test_a_message_that_comes_back_is_counted(celery: Publisher) -> None:
    """Counted before the work: what ends its worker each time is given up."""
    poison = content(tasks.leave, 1)
    for crashes in range(1, execution.MAX_CRASHES):
        execution.run("celery", poison, redelivered=True)
        entry = OrmQ.objects.get()
        poison = outbox.content_of(entry.pk) or {}
        assert poison["crashes"] == crashes
        entry.delete()
    execution.run("celery", poison, redelivered=True)
    assert not OrmQ.objects.exists()


def test_an_unknown_task_is_kept(celery: Publisher) -> None:
    """In a rolling deploy another version may know it."""
    execution.run("celery", {**content(tasks.add, 1), "func": "no.such.call"}, redelivered=False)
    assert OrmQ.objects.get().lock > timezone.now()


def test_where_no_worker_lives_the_right_one_is_named(settings: Any, celery: Publisher) -> None:
    """A cluster of the queue would take no message, and would not be heard of."""
    settings.TASKS = {**settings.TASKS, "default": settings.TASKS["celery"]}
    assert "run celery -A project worker" in health.failures()["workers"]


@pytest.mark.parametrize(
    ("options", "id"),
    [
        ({"BROKER_URL": "amqp://", "X": 1}, "E001"),
        ({}, "E002"),
        ({"BROKER_URL": "amqp://", "TIME_LIMIT": 0}, "E004"),
    ],
)
def test_checks(options: dict[str, Any], id: str) -> None:
    """A wrong setting is refused at start, with the way out."""
    [error] = check_options("celery", options)
    assert error.id == f"notifications.celery.{id}"
    assert error.hint
