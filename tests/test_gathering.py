"""Group commit: who writes together, what each gets, and that nobody suffers for another."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.tasks.signals import task_enqueued
from django.utils import timezone
from django_q.models import OrmQ

from notifications import services, tasks
from notifications.background.tasks import collector
from notifications.exceptions import RecipientLimitReached
from notifications.gathering import MOST, PATIENCE, Gathering, _Place, pause_after
from notifications.models import Notification
from notifications.signals import accepted as accepted_signal
from tests.processes import wait_until
from tests.turns import somebody_writing

type Together = Callable[[Gathering, Sequence[Callable[[], object]]], list[Future]]


@pytest.fixture
def together() -> Together:
    """Have several callers wait for their turn at once, then let them go. They have ended when it returns."""

    def run(gathering: Gathering, calls: Sequence[Callable[[], object]]) -> list[Future]:
        with ThreadPoolExecutor(len(calls)) as threads, somebody_writing(gathering):
            futures = [threads.submit(_in_a_thread, call) for call in calls]
            wait_until(lambda: len(gathering._waiting) == len(calls), every=0.001)
        return futures

    return run


def _in_a_thread(call: Callable[[], object]) -> object:
    try:
        return call()
    finally:
        connections.close_all()


class Written:
    """A `write` that keeps what it was given, and fails for items that say so."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, items: Sequence[str]) -> list[str]:
        self.batches.append(sorted(items))
        for item in items:
            if item.startswith("bad"):
                raise ValueError(item)
        return [item.upper() for item in items]


@pytest.mark.parametrize(("number", "seconds"), [(0, 0.004), (1, 0.004), (3, 0.012), (200, 0.025)])
def test_the_more_there_is_the_longer_one_waits_for_more(number: int, seconds: float) -> None:
    """Law: one that comes alone hardly delays the next; under load there is a bound."""
    assert pause_after(number) == pytest.approx(seconds)


def test_a_single_caller_waits_for_nobody() -> None:
    """Law: who finds nobody at work is written alone, at once."""
    written = Written()
    gathering = Gathering(written)
    assert [gathering.join("a"), gathering.join("b")] == ["A", "B"]
    assert written.batches == [["a"], ["b"]]


def test_who_waits_is_written_together(together: Together) -> None:
    """Law: one write for all who wait, and each gets the result of its own item."""
    written = Written()
    gathering = Gathering(written)
    futures = together(gathering, [lambda item=item: gathering.join(item) for item in "abc"])
    assert [future.result() for future in futures] == ["A", "B", "C"]
    assert written.batches == [["a", "b", "c"]]


@pytest.mark.slow
def test_no_write_grows_without_bound(together: Together) -> None:
    """Law: at most MOST at once; the rest is written next."""
    written = Written()
    gathering = Gathering(written)
    items = [f"{number:03}" for number in range(MOST + 5)]
    futures = together(gathering, [lambda item=item: gathering.join(item) for item in items])
    assert [future.result() for future in futures] == items
    assert [len(batch) for batch in written.batches] == [MOST, 5]


def test_whoever_leads_stays_until_it_is_written_itself() -> None:
    """Law: with more before it than one write takes, it writes again, and leaves nothing of its own behind."""
    written = Written()
    gathering = Gathering(written)
    gathering._waiting.extend(_Place(f"{number:03}") for number in range(MOST))
    assert gathering.join("mine") == "MINE"
    assert [len(batch) for batch in written.batches] == [MOST, 1]
    assert not gathering._waiting


def test_where_several_came_together_as_many_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: whoever leads goes on as soon as as many have come as the last time."""
    monkeypatch.setattr("notifications.gathering.PATIENCE", 20.0)
    written = Written()
    gathering = Gathering(written)
    gathering._expected = 2
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(gathering.join, "a")
        wait_until(lambda: len(gathering._waiting) == 1, every=0.001)
        assert gathering.join("b") == "B"
        assert first.result(20) == "A"
    assert written.batches == [["a", "b"]]


def test_who_comes_alone_waits_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: when the others stay away, what they were waited for is a bound, and the next caller waits for nobody."""
    written = Written()
    gathering = Gathering(written)
    gathering._expected = 5
    waits: list[float | None] = []
    monkeypatch.setattr(gathering._enough, "wait", waits.append)
    assert [gathering.join("a"), gathering.join("b")] == ["A", "B"]
    assert waits == [PATIENCE]


def test_who_is_written_does_not_wait_for_the_next_write() -> None:
    """Law: as soon as it is settled each goes on, though the next has begun to write and takes its time."""
    may_end = {"a": threading.Event(), "slow": threading.Event()}

    def write(items: Sequence[str]) -> Sequence[str]:
        assert may_end[items[0]].wait(20)
        return items

    gathering = Gathering(write)
    with ThreadPoolExecutor(3) as threads:
        with somebody_writing(gathering):
            futures = []
            for number, item in enumerate(["a", "b"], 1):
                futures.append(threads.submit(gathering.join, item))
                wait_until(lambda number=number: len(gathering._waiting) == number, every=0.001)
        wait_until(lambda: not gathering._waiting, every=0.001)
        slow = threads.submit(gathering.join, "slow")
        wait_until(lambda: len(gathering._waiting) == 1, every=0.001)
        may_end["a"].set()
        try:
            assert [future.result(5) for future in futures] == ["a", "b"]
        finally:
            may_end["slow"].set()
        assert slow.result(5) == "slow"


def test_who_is_interrupted_while_it_waits_holds_up_nobody() -> None:
    """Law: its item is not written, and the turn goes to the next."""
    written = Written()
    gathering = Gathering(written)
    gone, stays = _Place("gone", thread=1), _Place("stays", thread=2)
    with somebody_writing(gathering):
        gathering._waiting.extend([gone, stays])
        gathering._leave(gone)
        assert stays.wake.locked()
    assert not stays.wake.locked()
    gathering._leave(stays)
    assert gathering.join("a") == "A"
    assert written.batches == [["a"]]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_waits_for_no_thread_of_its_parent() -> None:
    """Law: whoever wrote at the fork, and whoever waited, is not there in the child."""
    gathering = services._gathering
    with somebody_writing(gathering), gathering._door:
        gathering._waiting.append(_Place("of another thread", thread=1))
        child = os.fork()
        if child == 0:
            is_free = not gathering._waiting and gathering._leader is None and not gathering._door.locked()
            os._exit(0 if is_free else 1)
        gathering._waiting.clear()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_one_that_cannot_be_written_takes_nobody_with_it(together: Together) -> None:
    """Law: after a failure each is written alone, and gets its own result or its own error."""
    written = Written()
    gathering = Gathering(written)
    futures = together(
        gathering, [lambda item=item: gathering.join(item) for item in ("a", "bad 1", "bad 2")]
    )
    assert futures[0].result() == "A"
    assert [str(future.exception()) for future in futures[1:]] == ["bad 1", "bad 2"]
    assert sorted(written.batches) == [["a"], ["a", "bad 1", "bad 2"], ["bad 1"], ["bad 2"]]


@pytest.mark.parametrize(
    ("error", "writes"), [(OperationalError("locked"), 1), (IntegrityError("refused"), 6)]
)
def test_who_waited_long_for_the_database_does_not_wait_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, writes: int
) -> None:
    """A lock is waited for once, by those who wrote together and by those behind them; any other error is one's own."""
    batches: list[Sequence[str]] = []

    def write(items: Sequence[str]) -> list[str]:
        batches.append(items)
        raise error

    gathering = Gathering(write)
    monkeypatch.setattr("notifications.gathering.LOST_AFTER", 0)
    monkeypatch.setattr("notifications.gathering.MOST", 2)
    with ThreadPoolExecutor(4) as threads, somebody_writing(gathering):
        futures = [threads.submit(gathering.join, text) for text in "abcd"]
        wait_until(lambda: len(gathering._waiting) == len(futures), every=0.001)
    assert [future.exception() for future in futures] == [error] * 4
    assert len(batches) == writes  # twice two, and each alone
    assert gathering._leader is None


def test_an_error_of_one_alone_is_raised_at_once() -> None:
    """Law: what failed alone is not tried again, and the next one finds the turn free."""
    written = Written()
    gathering = Gathering(written)
    with pytest.raises(ValueError, match="bad"):
        gathering.join("bad")
    assert gathering.join("a") == "A"
    assert written.batches == [["bad"], ["a"]]


def test_a_write_may_bring_the_next() -> None:
    """Law: what a write sets off in its own thread may join, without waiting for itself."""

    def write(items: Sequence[int]) -> list[int]:
        return [item if item == 0 else gathering.join(item - 1) + 1 for item in items]

    gathering: Gathering[int, int] = Gathering(write)
    assert gathering.join(2) == 2


def accept(recipient: str, **fields: object) -> Callable[[], Notification]:
    return lambda: services.accept(recipient=recipient, message="hello", **fields)


@pytest.mark.django_db(transaction=True)
def test_requests_of_one_moment_share_a_transaction(together: Together) -> None:
    """Law: their rows are written together, their entry is one, and each caller gets its own notification."""
    futures = together(services._gathering, [accept(f"{name}@example.com") for name in "abc"])
    given = [future.result() for future in futures]
    assert [row.recipient for row in given] == ["a@example.com", "b@example.com", "c@example.com"]
    rows = Notification.objects.in_bulk([row.pk for row in given])
    assert {rows[row.pk].recipient for row in given} == {row.recipient for row in given}
    assert len({row.created_at for row in rows.values()}) == 1
    [entry] = OrmQ.objects.all()
    assert {row.task_id.rpartition("-")[2] for row in rows.values()} == {str(entry.pk)}


@pytest.mark.django_db(transaction=True)
def test_a_recipient_who_has_got_enough_is_refused_alone(together: Together, settings) -> None:
    """Law: a limit stops the one it is about, whoever shares its transaction."""
    settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"day": 1}
    names = ["a@example.com", "b@example.com", "a@example.com"]
    futures = together(services._gathering, [accept(name) for name in names])
    refused = [future for future in futures if isinstance(future.exception(), RecipientLimitReached)]
    assert len(refused) == 1
    assert refused[0] is not futures[1]
    assert Notification.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_row_the_database_refuses_is_refused_alone(together: Together, monkeypatch) -> None:
    """Law: an error of one row rolls back what was written with it, and the others are written all the same."""
    real = services.orders._clean
    monkeypatch.setattr(
        services.orders,
        "_clean",
        lambda **fields: real(**fields) | ({"status": "?"} if "b@" in fields["recipient"] else {}),
    )
    names = ["a@example.com", "b@example.com", "c@example.com"]
    futures = together(services._gathering, [accept(name) for name in names])
    assert [bool(future.exception()) for future in futures] == [False, True, False]
    assert set(Notification.objects.values_list("recipient", flat=True)) == {names[0], names[2]}
    assert OrmQ.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_callers_own_transaction_is_shared_with_nobody() -> None:
    """Law: inside `atomic` the caller's rollback leaves nothing, so nobody else may be in it."""
    with ThreadPoolExecutor(1) as thread, somebody_writing(services._gathering):

        def rolled_back() -> None:
            with transaction.atomic():
                services.accept(recipient="a@example.com", message="hello")
                transaction.set_rollback(True)

        thread.submit(_in_a_thread, rolled_back).result(20)
        assert not services._gathering._waiting
    assert not Notification.objects.exists()
    assert not OrmQ.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_handed_to_a_thread_is_accepted_all_the_same() -> None:
    """Law: once the row is committed the answer is yes, for the sweep will have it delivered."""

    def enqueue(*args: object) -> None:
        raise RuntimeError("no threads left")

    given = services.accept(recipient="a@example.com", message="hello", via="thread", enqueue=enqueue)
    assert Notification.objects.get() == given


@pytest.mark.django_db(transaction=True)
def test_row_and_entry_are_one_round_trip_on_postgresql(django_assert_num_queries) -> None:
    """Law: a request costs the database one statement, and both know of each other."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no round trips to save")
    services.accept(recipient="warm@example.com", message="hello")
    OrmQ.objects.all().delete()
    with django_assert_num_queries(1):
        given = services.accept(recipient="a@example.com", message="hello")
    row, entry = Notification.objects.get(pk=given.pk), OrmQ.objects.get()
    assert row.task_id == given.task_id
    assert row.task_id.endswith(f"-{entry.pk}")
    assert (row.created_at, row.due_at) == (given.created_at, given.due_at)


@pytest.mark.django_db(transaction=True)
def test_a_row_without_an_entry_is_one_statement(django_assert_num_queries) -> None:
    """Law: what goes by thread has no entry, and a single statement needs no transaction around it."""
    with django_assert_num_queries(1):
        given = services.accept(
            recipient="a@example.com", message="hello", via="thread", enqueue=lambda *args: None
        )
    assert Notification.objects.get() == given


@pytest.mark.django_db(transaction=True)
def test_who_is_together_may_take_different_ways(together: Together) -> None:
    """Law: by thread, by queue, now or tomorrow, on one channel or another: each is written as if alone."""
    tomorrow = timezone.now() + timedelta(days=1)
    ways = [{}, {"via": "thread"}, {"due_at": tomorrow}, {"channel": "waiting"}, {}]
    futures = together(services._gathering, [accept(f"{n}@example.com", **way) for n, way in enumerate(ways)])
    now, thread, later, slow, again = (Notification.objects.get(pk=f.result().pk) for f in futures)
    assert now.task_id == again.task_id
    assert len({row.task_id for row in (now, later, slow)}) == 3
    assert not thread.task_id
    assert later.due_at == tomorrow
    locks = {str(entry.pk): entry.lock for entry in OrmQ.objects.all()}
    assert locks[later.task_id.rpartition("-")[2]] >= tomorrow
    assert len(locks) == 3


@pytest.mark.django_db(transaction=True)
def test_a_key_is_shared_with_nobody(together: Together) -> None:
    """Law: whose key was taken meanwhile looks again; that must not roll back what others brought."""
    with ThreadPoolExecutor(1) as thread, somebody_writing(services._gathering):
        given = thread.submit(_in_a_thread, accept("a@example.com", dedupe_key="one")).result(20)
    again = services.accept(recipient="a@example.com", message="hello", dedupe_key="one")
    assert (again, again.is_duplicate) == (given, True)


@pytest.mark.django_db(transaction=True)
def test_what_is_written_for_others_hangs_on_no_request() -> None:
    """Law: the request that happens to write for others may fail; what it enqueues for them is not its own."""
    seen: list[object] = []

    def see(**kwargs: object) -> None:
        seen.append(collector.get())

    class Request:
        def collect(self, task: object) -> None:
            raise AssertionError(task)

    token = collector.set(Request())
    task_enqueued.connect(see)
    try:
        services.accept(recipient="a@example.com", message="hello")
    finally:
        task_enqueued.disconnect(see)
        collector.reset(token)
    assert seen == [None]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("via", ["queue", "thread"])
def test_what_was_accepted_together_is_announced(via: str) -> None:
    """Law: `accepted` is sent once for each, when it is there to be found."""
    seen: list[tuple[object, object, bool]] = []

    def see(notification_id: object, via: object, **kwargs: object) -> None:
        seen.append((notification_id, via, Notification.objects.filter(pk=notification_id).exists()))

    accepted_signal.connect(see)
    try:
        given = services.accept(
            recipient="a@example.com", message="hello", via=via, enqueue=lambda *args: None
        )
    finally:
        accepted_signal.disconnect(see)
    assert seen == [(given.pk, via, True)]


@pytest.mark.django_db(transaction=True)
def test_what_is_enqueued_is_told_when_it_is_committed(caplog) -> None:
    """Law: `task_enqueued` names a task that can be found, and a receiver that fails takes nothing back."""
    seen: list[str] = []

    def fail(task_result: object, **kwargs: object) -> None:
        seen.append(task_result.id)
        raise RuntimeError("a receiver of somebody's")

    task_enqueued.connect(fail)
    try:
        given = services.accept(recipient="a@example.com", message="hello")
    finally:
        task_enqueued.disconnect(fail)
    row = Notification.objects.get(pk=given.pk)
    assert seen == [row.task_id]
    assert tasks.deliver.get_result(row.task_id).status == "READY"
    assert "a receiver of somebody's" in caplog.text
