"""The sweep: whatever died, what it held is found and handed to the queue."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from notifications import recovery, services, tasks
from notifications.models import Notification, Outcome, Status
from notifications.recovery import SWEEP_LOCK
from notifications.statements import claim

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]
LONG_AGO = timedelta(minutes=10)


def dead_worker(*rows: Notification) -> None:
    """A worker claimed them, and its lease has passed."""
    claim([str(row.pk) for row in rows], timedelta(seconds=30), "default")
    OrmQ.objects.all().delete()
    Notification.objects.filter(status=Status.SENDING).update(lease_expires_at=timezone.now() - LONG_AGO)


def overdue(*rows: Notification) -> None:
    """Their turn was long ago."""
    ids = [row.pk for row in rows]
    Notification.objects.filter(pk__in=ids).update(next_attempt_at=timezone.now() - LONG_AGO)


def test_a_dead_workers_notifications_are_queued_again(accepted: Accept) -> None:
    """The lease has passed: the attempt is recorded as lost, and the next one is in the queue."""
    row = accepted()
    dead_worker(row)
    assert services.recover().lost == [str(row.pk)]
    row.refresh_from_db()
    assert (row.status, row.attempts.get().outcome) == (Status.QUEUED, Outcome.LOST)
    assert row.next_attempt_at < timezone.now() + timedelta(seconds=3)
    assert tasks.deliver_alone.get_result(row.task_id).args == [[str(row.pk)]]
    assert not services.recover(), "a second sweep finds nothing"


def test_a_living_worker_is_left_alone(accepted: Accept) -> None:
    """Within its lease, what a worker sends is its own."""
    row = accepted()
    claim([str(row.pk)], timedelta(seconds=30), "default")
    assert not services.recover()


@pytest.mark.slow
def test_poison_ends_as_failed(accepted: Accept, settings: Any) -> None:
    """Attempts are counted before the work: a notification that kills its worker each time is given up."""
    settings.CHANNELS = {
        "recording": {**settings.CHANNELS["recording"], "RETRY": {"MAX_ATTEMPTS": 3, "BASE": timedelta(0)}}
    }
    row = accepted()
    swept = []
    for _ in range(3):
        dead_worker(row)
        swept.append(services.recover())
    row.refresh_from_db()
    assert [bool(found.given_up) for found in swept] == [False, False, True]
    assert (row.status, row.attempts.count(), OrmQ.objects.count()) == (Status.FAILED, 3, 0)


def test_a_vanished_entry_is_written_again(accepted: Accept) -> None:
    """The row is the truth: an entry that somebody deleted is missed when its turn has passed."""
    row, untouched = accepted(), accepted()
    OrmQ.objects.order_by("pk").first().delete()
    overdue(row, untouched)
    OrmQ.objects.update(lock=timezone.now() + LONG_AGO)  # the other one's entry is with a worker
    assert services.recover().stranded == [str(row.pk)]
    row.refresh_from_db()
    assert tasks.deliver.get_result(row.task_id).status == "READY"
    assert not services.recover()


def test_work_that_is_done_meanwhile_is_not_stranded(
    accepted: Accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that is gone because its work has just been done is no loss, and none is reported."""
    row = accepted()
    overdue(row)
    OrmQ.objects.update(lock=timezone.now() + LONG_AGO)  # with a worker

    def missing(task_ids: Iterable[str]) -> set[str]:
        tasks.deliver.call([str(row.pk)])
        OrmQ.objects.all().delete()
        return set(task_ids)

    monkeypatch.setattr("notifications.recovery.missing", missing)
    assert not services.recover()
    assert not OrmQ.objects.exists()


def test_what_waits_in_a_backlog_is_not_looked_at(accepted: Accept) -> None:
    """An old row behind an older entry is just waiting: no second entry is written for it."""
    rows = [accepted() for _ in range(3)]
    overdue(*rows)
    OrmQ.objects.update(lock=timezone.now() - 2 * LONG_AGO)
    assert not services.recover()
    assert OrmQ.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_dead_web_process_in_thread_mode(accepted: Accept) -> None:
    """The row was committed and its thread never came: it goes on in the queue."""
    row = accepted(via="queue")
    OrmQ.objects.all().delete()
    Notification.objects.update(via="thread", task_id="of-a-process-that-is-gone")
    overdue(row)
    assert services.recover().stranded == [str(row.pk)]
    assert OrmQ.objects.count() == 1


@pytest.mark.slow
def test_more_than_one_page(accepted: Accept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep goes on until nothing is left."""
    monkeypatch.setattr("notifications.recovery.PAGE", 3)
    lost = [accepted() for _ in range(7)]
    dead_worker(*lost)
    stranded = [accepted() for _ in range(7)]
    OrmQ.objects.all().delete()
    overdue(*stranded)
    found = services.recover()
    assert (len(found.lost), len(found.stranded)) == (7, 7)


def test_dry_run_changes_nothing(accepted: Accept) -> None:
    """--dry-run shows what a sweep would do."""
    row = accepted()
    dead_worker(row)
    out = StringIO()
    call_command("recover", "--dry-run", stdout=out)
    assert out.getvalue().strip() == f"{row.pk} would be queued again: its worker died while sending"
    row.refresh_from_db()
    assert row.status == Status.SENDING
    out = StringIO()
    call_command("recover", stdout=out)
    assert out.getvalue().strip() == f"{row.pk} queued again: its worker died while sending"
    out = StringIO()
    call_command("recover", stdout=out)
    assert out.getvalue().strip() == "Nothing to recover."


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer, and needs no such lock")
def test_one_sweep_at_a_time(accepted: Accept) -> None:
    """While another cluster sweeps, this one leaves the dead workers' notifications to it."""
    row = accepted()
    dead_worker(row)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [SWEEP_LOCK])
            assert not services.recover().lost
            cursor.execute("SELECT pg_advisory_unlock(%s)", [SWEEP_LOCK])
    finally:
        other.close()
    assert services.recover().lost == [str(row.pk)]


def test_the_log_says_what_was_recovered(accepted: Accept, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing passes silently."""
    dead_worker(accepted())
    services.recover()
    assert "event=recovered lost=1 stranded=0 given_up=0" in caplog.text


def test_a_sweep_reads_the_small_indexes(accepted: Accept, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs every two seconds: no look at all rows, whatever the order, on no page."""
    monkeypatch.setattr(recovery, "PAGE", 2)
    rows = [accepted() for _ in range(5)]
    overdue(*rows)
    dead_worker(accepted())
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as asked:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        services.recover(dry_run=True)
    looks = [
        query["sql"] for query in asked if query["sql"].startswith('SELECT "notifications_notification"')
    ]
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    plans = []
    with connection.cursor() as cursor:
        for look in looks:
            cursor.execute(f"{explain}{look}".replace("%", "%%"))
            plans.append("\n".join(str(row[-1]) for row in cursor.fetchall()))
    assert len(plans) >= 4
    assert "notification_leases" in plans[0]
    for plan in plans[1:]:
        assert "notification_queued" in plan
        assert "SCAN notifications_notification" not in plan
        assert "Seq Scan on notifications_notification" not in plan


def test_a_sweep_does_not_read_the_backlog(accepted: Accept) -> None:
    """What waits behind the oldest entry lies beyond the end of what is read: one end, not two to choose from."""
    stranded, waiting = accepted(), accepted()
    overdue(stranded, waiting)
    OrmQ.objects.filter(pk=OrmQ.objects.order_by("pk")[0].pk).delete()
    OrmQ.objects.update(lock=timezone.now() - LONG_AGO + timedelta(seconds=1))
    with CaptureQueriesContext(connection) as asked:
        assert services.recover(dry_run=True).stranded == [str(stranded.pk)]
    looks = [query["sql"] for query in asked if '"next_attempt_at" <' in query["sql"]]
    assert looks
    assert all(sql.count('"next_attempt_at" <') == 1 for sql in looks)
