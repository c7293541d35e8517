"""The raw statements, on whichever database the tests run."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone
from django_q.models import OrmQ, Task

from notifications.backends.queue import texts
from notifications.backends.queue.entries import NewEntry, key_for, priority_of
from notifications.backends.queue.sql import QueueTable

pytestmark = pytest.mark.django_db
LEASE = timedelta(seconds=15)


@pytest.fixture
def table() -> QueueTable:
    return QueueTable("default")


def fill(table: QueueTable, *keys: str) -> list[int]:
    return table.insert([NewEntry(key, f"payload {i}") for i, key in enumerate(keys)], notify=False)


@pytest.mark.slow
def test_insert_gives_the_keys_in_order(table: QueueTable) -> None:
    """Law: the n-th primary key belongs to the n-th entry, for one row and for many statements' worth."""
    for count in (1, 2, 2500):
        pks = table.insert([NewEntry("a", f"{i}") for i in range(count)], notify=False)
        assert {pk: payload for pk, payload, _ in table.read(pks)} == {pk: f"{i}" for i, pk in enumerate(pks)}


def test_claim_takes_the_longest_waiting_first(table: QueueTable) -> None:
    """Law: entries come in the order of their lock, and a claimed one is not claimed again."""
    now = timezone.now()
    for minutes in (1, 3, 2):
        OrmQ.objects.create(key="a", payload=f"{minutes} min", lock=now - timedelta(minutes=minutes))
    assert [entry.payload for entry in table.claim("a", 2, LEASE)] == ["3 min", "2 min"]
    assert [entry.payload for entry in table.claim("a", 2, LEASE)] == ["1 min"]
    assert table.claim("a", 2, LEASE) == []


def test_claim_leaves_what_is_not_due(table: QueueTable) -> None:
    """Law: an entry is due at its lock, not before; other queues' entries are nobody's business."""
    OrmQ.objects.create(key="a", payload="later", lock=timezone.now() + timedelta(hours=1))
    fill(table, "b")
    assert table.claim("a", 10, LEASE) == []
    assert table.next_lock("a") == OrmQ.objects.get(key="a").lock
    assert table.next_lock("b") is None


def test_a_lease_ends_on_a_whole_second(table: QueueTable) -> None:
    """Law: a row alone tells whether a worker holds it: Note [A lease is a whole second]."""
    [pk] = fill(table, "a")
    assert OrmQ.objects.get(pk=pk).lock.microsecond != 0
    before = timezone.now()
    [entry] = table.claim("a", 1, LEASE)
    lock = OrmQ.objects.get(pk=pk).lock
    assert lock == entry.lease
    assert lock.microsecond == 0
    assert before + LEASE < lock <= timezone.now() + LEASE + timedelta(seconds=1)


def test_restored_entries_stand_where_they_stood(table: QueueTable) -> None:
    """Law: what goes back to the queue keeps its place in it."""
    first, second, _ = fill(table, "a", "a", "a")
    entries = table.claim("a", 2, LEASE)
    table.restore([(entry.pk, entry.lease, entry.place) for entry in entries])
    assert [entry.pk for entry in table.claim("a", 2, LEASE)] == [first, second]


def test_restore_does_not_touch_what_others_took(table: QueueTable) -> None:
    """Law: a holder whose lease ended cannot release the entry under its next holder."""
    [pk] = fill(table, "a")
    [entry] = table.claim("a", 1, LEASE)
    others = entry.lease + timedelta(seconds=30)
    OrmQ.objects.update(lock=others)
    table.restore([(pk, entry.lease, entry.place)])
    assert OrmQ.objects.get().lock == others


def test_renewal_extends_the_lease(table: QueueTable) -> None:
    """Law: a renewed entry is held for a lease from now."""
    pks = fill(table, "a", "a")
    table.claim("a", 2, LEASE)
    until = table.renew(pks, LEASE * 4)
    assert set(OrmQ.objects.values_list("lock", flat=True)) == {until}
    assert until.microsecond == 0
    assert until > timezone.now() + LEASE * 3


def test_keys_come_by_priority(table: QueueTable) -> None:
    """Law: the keys of a queue come highest priority first; a queue whose name begins alike is another queue."""
    fill(table, "a", key_for("a", -5), key_for("a", 100), key_for("a", 20), "a2", "b", "b:7", "a:x")
    assert table.keys("a") == ["a:100", "a:20", "a", "a:-5"]
    assert table.keys("none") == []
    assert [priority_of(key, "b") for key in ("b", "b:7", "a")] == [0, 7, None]


def row(task_id: str, *, success: bool = True) -> tuple[object, ...]:
    now = timezone.now()
    return (task_id, "name", "f", None, None, None, None, None, "a", now, now, success, 1)


def test_finish_records_and_deletes(table: QueueTable) -> None:
    """Law: a finished entry is gone and its result is there; a second record of it changes the row."""
    pks = fill(table, "a", "a", "a")
    table.finish(pks[:2], [row("1" * 32), row("2" * 32, success=False)])
    assert table.existing(pks) == {pks[2]}
    assert dict(Task.objects.values_list("id", "success")) == {"1" * 32: True, "2" * 32: False}
    table.finish([], [row("2" * 32)])
    assert Task.objects.get(pk="2" * 32).success


@pytest.mark.django_db(transaction=True)
def test_finish_is_one_transaction(table: QueueTable) -> None:
    """Law: a result that cannot be written leaves the entry."""
    pks = fill(table, "a")
    with pytest.raises(Exception, match=r"(?i)null"):
        table.finish(pks, [(None, *row("1" * 32)[1:2], None, *row("1" * 32)[3:])])
    assert table.existing(pks) == set(pks)


def test_waiting_since_ignores_what_is_taken(table: QueueTable) -> None:
    """Law: the oldest waiting entry is one that is due and that nobody holds."""
    fill(table, "a", "a")
    [taken] = table.claim("a", 1, LEASE)
    since = table.waiting_since("a")
    assert since is not None
    assert since >= taken.place
    table.claim("a", 1, LEASE)
    assert table.waiting_since("a") is None


def test_rewrite_changes_payload_and_lock(table: QueueTable) -> None:
    [pk] = fill(table, "a")
    at = timezone.now() + timedelta(minutes=1)
    table.rewrite(pk, "new", at)
    assert table.read([pk]) == [(pk, "new", at)]


@pytest.mark.django_db(transaction=True)
def test_two_clusters_never_get_the_same_entry(table: QueueTable) -> None:
    """Law: a claim under way is invisible to the other cluster, which takes the next entries at once."""
    pks = fill(table, "a", "a", "a")

    def claim() -> list[int]:
        try:
            return [entry.pk for entry in table.claim("a", 2, LEASE)]
        finally:
            connections.close_all()

    # SQLite has one writer: there the first claim must have committed before the other can begin.
    under_way = transaction.atomic() if table.is_postgresql else nullcontext()
    with ThreadPoolExecutor(1) as other_cluster, under_way:
        mine = [entry.pk for entry in table.claim("a", 2, LEASE)]
        theirs = other_cluster.submit(claim).result(timeout=20)
    assert (mine, theirs) == (pks[:2], pks[2:])


def test_the_claim_walks_the_index(table: QueueTable) -> None:
    """Law: the longest waiting entry is found by the index, never by sorting the backlog, whatever the
    statistics of the table say."""
    fill(table, *["a"] * 2000)
    with connections["default"].cursor() as cursor:
        if table.is_postgresql:
            *settings, claim = texts.PG_CLAIM.unplanned.split(";")
            cursor.execute(f"{'; '.join(settings)}; EXPLAIN {claim}", ["a", 500, LEASE])
            while cursor.nextset():
                pass
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {texts.SQLITE_DUE}", ["a", timezone.now(), 500])
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert "notifications_queue_key_lock" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
