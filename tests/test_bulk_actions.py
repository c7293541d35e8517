"""Actions on many: every row once, whoever dies in between."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections
from django_q.models import OrmQ

from notifications import bulk, services, tasks
from notifications.exceptions import DeliveryError
from notifications.models import Kind, Notification, Status
from notifications.selection import Selection
from tests import recording_channel
from tests.processes import wait_until

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]


@pytest.fixture
def failed(accepted: Accept) -> Callable[[int], list[Notification]]:
    """Notifications that were given up."""

    def fail(message: recording_channel.Message) -> None:
        raise DeliveryError("no such box", permanent=True, code="550")

    def make(count: int) -> list[Notification]:
        recording_channel.behaviours["you@example.com"] = fail
        rows = [accepted() for _ in range(count)]
        tasks.deliver.call([str(row.pk) for row in rows])
        OrmQ.objects.all().delete()
        return rows

    return make


FAILED = Selection(status="failed", not_resent=True)


def resent(rows: list[Notification]) -> int:
    return Notification.objects.filter(resend_of__in=[row.pk for row in rows]).count()


@pytest.mark.slow
def test_resend_all_that_match(failed: Any, accepted: Accept, admin_user: Any, monkeypatch: Any) -> None:
    """Each that matches once, over several pages; the rest not at all. And a second action finds nothing to do."""
    monkeypatch.setattr(bulk, "PAGE", 2)
    rows, other = failed(5), accepted()
    action = bulk.start(Kind.RESEND, FAILED, admin_user)
    assert [entry.func() for entry in OrmQ.objects.all()].count("notifications.bulk.work.call") == 1
    bulk.work.call(action.pk)
    action.refresh_from_db()
    assert (action.total, action.done, action.failed) == (5, 5, 0)
    assert action.finished_at is not None
    assert resent(rows) == 5
    assert resent([other]) == 0
    again = bulk.start(Kind.RESEND, FAILED, admin_user)
    bulk.work.call(again.pk)
    assert resent(rows) == 5


@pytest.mark.slow
def test_a_death_in_the_middle_resends_nobody_twice(failed: Any, admin_user: Any, monkeypatch: Any) -> None:
    """Note [The cursor commits with the work]: the page under way is taken back, and done by whoever comes next."""
    monkeypatch.setattr(bulk, "PAGE", 2)
    rows = failed(5)
    action = bulk.start(Kind.RESEND, Selection(ids=tuple(str(row.pk) for row in rows)), admin_user)
    calls: list[Notification] = []

    def resend_and_die(notification: Notification) -> object:
        calls.append(notification)
        assert len(calls) < 20
        if len(calls) == 4:
            raise SystemExit
        return services.resend(notification)

    monkeypatch.setitem(bulk.ACTS, Kind.RESEND, resend_and_die)
    with pytest.raises(SystemExit):
        bulk.work.call(action.pk)
    action.refresh_from_db()
    assert (action.done, resent(rows)) == (2, 2)
    bulk.work.call(action.pk)
    bulk.work.call(action.pk)  # the entry was doubled
    action.refresh_from_db()
    assert (action.done, resent(rows)) == (5, 5)
    assert len(set(Notification.objects.exclude(resend_of=None).values_list("resend_of", flat=True))) == 5


@pytest.mark.django_db(transaction=True)
def test_two_actions_take_turns(failed: Any, admin_user: Any, monkeypatch: Any) -> None:
    """Two operators ask for the same, and two workers are at it: each is resent once."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    rows = failed(3)
    first, second = (bulk.start(Kind.RESEND, FAILED, admin_user) for _ in range(2))
    resend = bulk.ACTS[Kind.RESEND]

    def slowly(notification: Notification) -> object:
        if not others:
            others.append(pool.submit(in_thread, second.pk))
            wait_until(lambda: waiting_for_us() or others[0].done())
        return resend(notification)

    def in_thread(pk: int) -> None:
        try:
            bulk.work.call(pk)
        finally:
            connections.close_all()

    others: list[Future[None]] = []
    monkeypatch.setitem(bulk.ACTS, Kind.RESEND, slowly)
    with ThreadPoolExecutor(1) as pool:
        bulk.work.call(first.pk)
        others[0].result()
    assert resent(rows) == 3


def waiting_for_us() -> bool:
    """Somebody waits for a lock that this connection has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return cursor.fetchone() is not None


def test_what_has_changed_meanwhile_is_left_alone(accepted: Accept, admin_user: Any) -> None:
    """A compare-and-set decides each row; those that lost it are counted."""
    first, second = accepted(), accepted()
    action = bulk.start(Kind.CANCEL, Selection(ids=(str(first.pk), str(second.pk))), admin_user)
    tasks.deliver.call([str(first.pk)])
    bulk.work.call(action.pk)
    action.refresh_from_db()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (Status.SENT, Status.CANCELLED)
    assert (action.done, action.failed) == (1, 1)


def test_what_comes_later_is_not_part_of_it(accepted: Accept, admin_user: Any) -> None:
    """An action is about what was there when it was asked for."""
    first = accepted()
    action = bulk.start(Kind.CANCEL, Selection(status="queued"), admin_user)
    later = accepted()
    bulk.work.call(action.pk)
    first.refresh_from_db()
    later.refresh_from_db()
    assert (first.status, later.status) == (Status.CANCELLED, Status.QUEUED)


def test_it_hands_over_in_time(failed: Any, admin_user: Any, monkeypatch: Any) -> None:
    """A task ends within its limit, and the next one goes on."""
    monkeypatch.setattr(bulk, "PAGE", 1)
    monkeypatch.setattr(bulk, "TURN", -1.0)
    rows = failed(2)
    action = bulk.start(Kind.RESEND, FAILED, admin_user)
    entries = OrmQ.objects.count()
    bulk.work.call(action.pk)
    assert resent(rows) == 1
    assert OrmQ.objects.count() == entries + 2  # its successor, and the first one resent


def test_by_reason(failed: Any, accepted: Accept) -> None:
    """All whose last attempt came to the same."""
    [row] = failed(1)
    accepted()
    assert [found.pk for found in Selection(status="failed", code="550").rows()] == [row.pk]
    assert not Selection(status="failed", code="421").rows().exists()
    assert not Selection(status="failed", error="another").rows().exists()


def test_a_selection_is_written_and_read(accepted: Accept) -> None:
    """What a worker reads is what the operator meant."""
    selection = Selection(ids=("a",), status="failed", since="2026-01-01T00:00:00+00:00", not_resent=True)
    assert Selection.read(selection.written()) == selection
    assert Selection(recipient="you@example.com").written() == {"recipient": "you@example.com"}
    assert "you@" not in str(Selection(recipient="you@example.com"))


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_its_pages_are_read_from_an_index(status: str) -> None:
    """At any number of rows: the rare statuses have an index in the order of the cursor."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
    plan = Selection(status=status).rows().order_by("pk")[:100].explain()
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
    assert f"notification_{status}" in plan
