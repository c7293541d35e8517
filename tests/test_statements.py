"""Raw SQL: the same laws on SQLite and on PostgreSQL."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from notifications.models import Attempt, Notification, Status
from notifications.statements import Record, claim, postgresql, record, renew, rows

pytestmark = pytest.mark.django_db

LEASE = timedelta(seconds=30)
Accept = Callable[..., Notification]


def ids(*rows: Notification) -> list[str]:
    return [str(row.pk) for row in rows]


def settled(row: Notification, **changes: Any) -> Record:
    now = timezone.now()
    values: dict[str, Any] = {
        "id": str(row.pk),
        "channel": row.channel,
        "attempt": 1,
        "started_at": now - timedelta(seconds=1),
        "finished_at": now,
        "outcome": "sent",
        "status": "sent",
    }
    return Record(**{**values, **changes})


def test_table_names() -> None:
    """The statements name the tables that the models have."""
    assert Notification._meta.db_table == rows.NOTIFICATION
    assert Attempt._meta.db_table == rows.ATTEMPT


def test_claim_takes_what_is_queued_and_due(accepted: Accept) -> None:
    """queued and due → sending, the attempt counted, the lease taken; everything else is passed over."""
    due, cancelled = accepted(message="due"), accepted()
    cancelled.cancel()
    scheduled = accepted(due_at=timezone.now() + timedelta(hours=1))
    (claimed,) = claim([*ids(due, cancelled, scheduled), str(uuid4())], LEASE, "default")
    assert (claimed.id, claimed.message, claimed.attempt) == (str(due.pk), "due", 1)
    due.refresh_from_db()
    assert (due.status, due.attempt_count) == (Status.SENDING, 1)
    assert due.claimed_at == claimed.claimed_at
    assert timedelta(seconds=29) < due.lease_expires_at - due.claimed_at < timedelta(seconds=31)
    assert claim(ids(due), LEASE, "default") == [], "the second claim changes nothing"


@pytest.mark.slow
def test_claim_takes_what_is_due_this_very_moment(accepted: Accept) -> None:
    """A worker is told of a row within the millisecond in which it becomes due: it must not pass it over."""
    for _ in range(50):
        row = accepted()
        Notification.objects.filter(pk=row.pk).update(next_attempt_at=timezone.now())
        assert len(claim(ids(row), LEASE, "default")) == 1


def test_claims_times_are_the_databases(accepted: Accept) -> None:
    """Aware times, of the database's clock (which on one machine is this one)."""
    row = accepted()
    (claimed,) = claim(ids(row), LEASE, "default")
    row.refresh_from_db()
    assert claimed.created_at == row.created_at
    assert (
        row.created_at - timedelta(seconds=1) <= claimed.claimed_at <= timezone.now() + timedelta(seconds=1)
    )
    assert claimed.claimed_at.tzinfo is not None


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_workers_claim_each_row_once(accepted: Accept) -> None:
    """Overlapping batches in opposite order: no row twice, no deadlock."""
    all_ids = ids(*(accepted() for _ in range(40)))
    barrier = threading.Barrier(4)
    won: list[list[str]] = []

    def work(order: list[str]) -> None:
        try:
            barrier.wait(timeout=10)
            won.append([claimed.id for claimed in claim(order, LEASE, "default")])
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[all_ids[:: (-1) ** n]]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(id for batch in won for id in batch) == all_ids
    assert len(won) == 4


def test_record_settles_and_writes_the_attempt(accepted: Accept) -> None:
    """One call: the new status, and one Attempt row with what happened."""
    row = accepted()
    claim(ids(row), LEASE, "default")
    result = settled(row, outcome="failed", status="failed", error="no such mailbox: ü")
    assert record([result], "default") == {str(row.pk)}
    row.refresh_from_db()
    (attempt,) = row.attempts.all()
    assert (row.status, row.finished_at, row.next_attempt_at) == ("failed", result.finished_at, None)
    assert row.lease_expires_at is None
    assert (attempt.number, attempt.started_at, attempt.finished_at, attempt.outcome, attempt.error) == (
        1,
        result.started_at,
        result.finished_at,
        "failed",
        "no such mailbox: ü",
    )


def test_record_of_a_retry_queues_again(accepted: Accept) -> None:
    """A retry goes back to queued for its time, with the task that will do it, and is not finished."""
    row = accepted()
    claim(ids(row), LEASE, "default")
    later = timezone.now() + timedelta(minutes=5)
    record(
        [settled(row, outcome="retry", status="queued", next_attempt_at=later, task_id="another")], "default"
    )
    row.refresh_from_db()
    assert (row.status, row.next_attempt_at, row.task_id) == (Status.QUEUED, later, "another")
    assert row.finished_at is None


def test_record_is_fenced(accepted: Accept) -> None:
    """A worker whose lease was taken over cannot record: neither status nor attempt, for it alone."""
    mine, taken_over, given_back = accepted(), accepted(), accepted()
    rows = [mine, taken_over, given_back]
    claim(ids(*rows), LEASE, "default")
    Notification.objects.filter(pk=taken_over.pk).update(attempt_count=2)  # somebody claimed it since
    Notification.objects.filter(pk=given_back.pk).update(status=Status.QUEUED)  # the sweep took it back
    assert record([settled(row) for row in rows], "default") == {str(mine.pk)}
    statuses = [Notification.objects.get(pk=row.pk).status for row in rows]
    assert statuses == [Status.SENT, Status.SENDING, Status.QUEUED]
    assert list(Attempt.objects.values_list("notification", flat=True)) == [mine.pk]


def test_renew_pushes_only_what_is_still_ours(accepted: Accept) -> None:
    """A lease is renewed by the attempt that holds it, and by no other."""
    mine, taken_over = accepted(), accepted()
    claim(ids(mine, taken_over), LEASE, "default")
    Notification.objects.filter(pk=taken_over.pk).update(attempt_count=2)
    before = dict(Notification.objects.values_list("pk", "lease_expires_at"))
    assert renew([(str(mine.pk), 1), (str(taken_over.pk), 1)], timedelta(hours=1), "default") == 1
    after = dict(Notification.objects.values_list("pk", "lease_expires_at"))
    assert after[mine.pk] - before[mine.pk] > timedelta(minutes=50)
    assert after[taken_over.pk] == before[taken_over.pk]


@pytest.mark.slow
def test_large_batches(accepted: Accept) -> None:
    """A batch has no limit of parameters."""
    with transaction.atomic():
        rows = [accepted() for _ in range(300)]
    unknown = [str(uuid4()) for _ in range(5000)]
    assert len(claim(unknown + ids(*rows), LEASE, "default")) == 300
    assert len(record([settled(row) for row in rows], "default")) == 300
    assert Attempt.objects.count() == 300


def test_nothing_is_lost_of_text_and_time(accepted: Accept) -> None:
    """What a claim returns is what was accepted, to the microsecond and the last character."""
    text = "„Zitat“ \\ ' \" \t \r\n 💌 %s %(x)s"
    row = accepted(message=text)
    (claimed,) = claim(ids(row), LEASE, "default")
    assert claimed.message == text
    assert isinstance(claimed.due_at, datetime)


def test_batches_are_found_by_id(accepted: Accept) -> None:
    """Statistics of a table in which nothing waited lead to no index that a backlog has grown in since."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite keeps no statistics here")
    rows = [accepted() for _ in range(300)]
    Notification.objects.update(status=Status.SENT)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE notifications_notification")
        Notification.objects.update(status=Status.QUEUED)
        for name, statement, parameters in (
            ("notification_queued", postgresql.CLAIM, [[], ids(*rows[:20]), "+30 seconds"]),
            ("notification_leases", postgresql.RENEW, ["+30 seconds", ids(*rows[:20]), [1] * 20]),
        ):
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert name not in plan
            assert "notifications_notification_pkey" in plan


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans nothing for later")
@pytest.mark.parametrize("allowed", [True, False])
def test_inserts_are_planned_once_and_nothing_else_is(accepted: Accept, *, allowed: bool) -> None:
    """PostgreSQL keeps no plan that looks rows up; and with a pooler (`prepare_threshold` None) none at all."""
    connection.close()
    connection.ensure_connection()
    assert connection.connection.prepare_threshold == 5
    if not allowed:
        connection.connection.prepare_threshold = None
    for _ in range(8):
        alone = accepted()
        with transaction.atomic():
            inside = accepted()
        claim(ids(alone), LEASE, "default")
        claim(ids(alone, inside), LEASE, "default")
        record([settled(alone), settled(inside)], "default")
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        planned = [statement.split() for (statement,) in cursor.fetchall()]
    connection.close()
    assert len(planned) == (2 if allowed else 0)
    assert all(f"INTO {rows.NOTIFICATION}" in " ".join(words) for words in planned)
