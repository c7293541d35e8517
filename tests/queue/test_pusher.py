"""The pusher in this process, with a worker played by the test at the other end of a real socket."""

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.tasks import task_backends
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from notifications.backends.queue import OrmBroker, pusher
from notifications.backends.queue.crew import Hand
from notifications.backends.queue.pace import HANDFUL
from notifications.backends.queue.package import target_of_payload
from notifications.backends.queue.processes import Job, Report, Slot, Wire
from notifications.backends.queue.pusher import Pusher
from notifications.backends.queue.systemd import Pulse
from notifications.gathering import pause_after

from . import tasks

pytestmark = pytest.mark.django_db


class Played:
    """A worker: what it received, and its word."""

    def __init__(self, pid: int, boss: Pusher) -> None:
        mine, theirs = socket.socketpair()
        mine.settimeout(10)
        self.wire, self.slot = Wire(mine), Slot()
        self.hand = boss.hands[pid] = Hand(pid, self.slot, Wire(theirs))
        assert self.hand.wire is not None
        boss.selector.register(self.hand.wire, selectors.EVENT_READ)
        self.boss = boss

    def job(self) -> Job:
        job: Job = self.wire.receive()
        self.slot.take([pk for pk, _ in job.entries])
        return job

    def report(self, *, unbegun: list[int] | None = None, seconds: float = 0.001) -> None:
        self.slot.drop()
        self.wire.send(Report(unbegun or [], {}, seconds, leaving=False))
        self.boss.read(self.hand)


type Play = Callable[[int], Played]


@pytest.fixture
def boss() -> Iterator[Pusher]:
    mine, theirs = socket.socketpair()
    pusher = Pusher(OrmBroker(), mine, pulse=Pulse())
    yield pusher
    for hand in pusher.hands.values():
        pusher.hang_up(hand)
    pusher.listener.close()
    pusher.selector.close()
    mine.close()
    theirs.close()


@pytest.fixture
def play(boss: Pusher) -> Iterator[Callable[[int], Played]]:
    played: list[Played] = []

    def start(pid: int) -> Played:
        played.append(Played(pid, boss))
        return played[-1]

    yield start
    for worker in played:
        worker.wire.close()


def enqueue(task: object, count: int) -> None:
    task_backends["default"].enqueue_many([(task, [[f"{i}"]], {}) for i in range(count)])  # type: ignore[attr-defined]


class Raising:
    """Raises when it is unpickled."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return throw, (self.error,)


def throw(error: type[BaseException]) -> None:
    raise error("from an entry")


class Silent(Exception):
    """Does not say what it is."""

    def __repr__(self) -> str:
        raise TypeError("not shown")


class Nameless:
    """Is called nothing."""

    def __call__(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise Silent if name == "__qualname__" else AttributeError


@pytest.mark.parametrize("func", [Nameless(), Raising(Silent)])
def test_no_error_ends_the_pusher(boss: Pusher, play: Play, func: object) -> None:
    """Law: however little can be said about an entry."""
    play(1)
    async_task(func)
    boss.look()
    assert len(boss.put_back) == 1


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_no_entry_ends_the_pusher(boss: Pusher, play: Play, error: type[BaseException]) -> None:
    """Law: what cannot be read, for whatever reason, is kept, and holds up nobody."""
    workers = [play(pid) for pid in (1, 2)]
    async_task(Raising(error))
    async_task(5)
    async_task("tests.queue.tasks.plain", "a", task_name="n" * 78)
    tasks.write.enqueue("b")
    bad = OrmQ.objects.order_by("pk")[:2].values_list("pk", flat=True)
    boss.look()
    assert {entry.pk for entry, _ in boss.put_back} == set(bad)
    assert [len(worker.job().entries) for worker in workers] == [1, 1]
    boss.tidy()
    assert OrmQ.objects.count() == 4


def test_a_merged_backlog_is_shared(boss: Pusher, play: Play) -> None:
    """Law: every idle worker gets a share of what merges."""
    workers = [play(pid) for pid in (1, 2)]
    enqueue(tasks.collect, 21)
    boss.look()
    assert [len(worker.job().entries) for worker in workers] == [11, 10]


def test_a_handful_that_merges_is_one_job(boss: Pusher, play: Play) -> None:
    """Law: what is known to be quick is not divided while it is little, and the other worker stays free."""
    workers = [play(pid) for pid in (1, 2)]
    boss.pace.learn("tests.queue.tasks.collect.call", 0.001)
    enqueue(tasks.collect, HANDFUL)
    boss.look()
    assert len(workers[0].job().entries) == HANDFUL
    assert not workers[1].hand.jobs
    enqueue(tasks.collect, 3 * HANDFUL)
    workers[0].report()
    boss.look_soon()
    boss.look()
    assert [len(worker.job().entries) for worker in workers] == [38, 37]


def test_what_no_worker_can_take_keeps_its_place(boss: Pusher, play: Play) -> None:
    """Law: the pusher hoards nothing: a task of unknown length goes alone, the rest back where it stood."""
    worker = play(1)
    for word in "abc":
        tasks.write.enqueue(word)
    places = list(OrmQ.objects.order_by("pk").values_list("lock", flat=True))
    boss.look()
    boss.tidy()
    assert len(worker.job().entries) == 1
    assert list(OrmQ.objects.order_by("pk").values_list("lock", flat=True))[1:] == places[1:]


def test_quick_calls_are_handed_out_together(boss: Pusher, play: Play) -> None:
    """Law: some 20 ms of work at once, once it is known how long a call takes."""
    worker = play(1)
    for i in range(40):
        tasks.write.enqueue(str(i))
    boss.look()
    boss.tidy()
    assert len(worker.job().entries) == 1
    worker.report(seconds=0.001)
    boss.appetite = 100
    boss.look_at = boss.poll_at = 0
    boss.look()
    assert len(worker.job().entries) == 20


def test_leases_of_what_is_worked_on_are_renewed(boss: Pusher, play: Play) -> None:
    """Law: a lease ends only if its cluster does."""
    worker = play(1)
    tasks.write.enqueue("a")
    boss.look()
    worker.job()
    OrmQ.objects.update(lock=timezone.now() + timedelta(seconds=1))
    boss.renew()
    assert OrmQ.objects.get().lock > timezone.now() + timedelta(seconds=8)


def test_what_waits_behind_a_stuck_call_is_given_to_others(boss: Pusher, play: Play) -> None:
    """Law: one stuck call holds up nothing but itself."""
    worker = play(1)
    boss.pace.learn("tests.queue.tasks.write.call", 0.001)
    for word in "abc":
        tasks.write.enqueue(word)
    boss.look()
    job = worker.job()
    assert len(job.entries) == 3
    worker.slot.start(0, 1, None)
    boss.take_back(time.monotonic())
    assert boss.put_back == []
    boss.take_back(job.start_before + pusher.TAKE_BACK_AFTER)
    boss.tidy()
    due = set(OrmQ.objects.filter(lock__lte=timezone.now()).values_list("pk", flat=True))
    assert due == {pk for pk, _ in job.entries[1:]}
    worker.report(unbegun=[pk for pk, _ in job.entries[1:]])
    assert boss.put_back == []  # they are others' now


@pytest.mark.parametrize("running", [True, False])
def test_a_dead_workers_entries_come_back(boss: Pusher, play: Play, running: bool) -> None:
    """Law: at once; and only what it was running counts as a crash."""
    worker = play(1)
    boss.pace.learn("tests.queue.tasks.write.call", 0.001)
    for word in "ab":
        tasks.write.enqueue(word)
    boss.look()
    job = worker.job()
    if running:
        worker.slot.start(0, 1, None)
    worker.wire.close()
    before = timezone.now()
    boss.obey_gone(1, "died")
    boss.tidy()
    assert OrmQ.objects.filter(lock__lte=before).count() == (1 if running else 2)
    crashes = [OrmQ.objects.get(pk=pk).task.get("crashes", 0) for pk, _ in job.entries]
    assert crashes == ([1, 0] if running else [0, 0])


def test_a_report_sent_before_the_death_counts(boss: Pusher, play: Play) -> None:
    """Law: what was done and acknowledged is neither run again nor counted."""
    worker = play(1)
    tasks.write.enqueue("a")
    boss.look()
    job = worker.job()
    OrmBroker().acknowledge(job.entries[0][0])
    worker.slot.drop()
    worker.wire.send(Report([], {}, 0.1, leaving=False))
    worker.wire.close()
    boss.obey_gone(1, "died")
    assert (boss.put_back, boss.crashed) == ([], [])


@pytest.mark.slow
def test_a_worker_that_does_not_read_holds_up_nobody(boss: Pusher, play: Play) -> None:
    """Law: the pusher never waits for a socket."""
    worker = play(1)
    tasks.write.enqueue("x" * 5_000_000)
    boss.look()
    assert worker.hand.wire is not None
    assert worker.hand.wire.has_more


@pytest.mark.slow
def test_one_worker_is_kept_from_the_background(boss: Pusher, play: Play) -> None:
    """Law: however much waits in the background, the rest does not wait for it to end."""
    first, second = play(1), play(2)
    enqueue(tasks.collect.using(priority=-1), 1200)
    boss.look()
    background = first.job()
    assert len(background.entries) > 1
    assert not second.hand.jobs
    boss.look_at = boss.poll_at = 0.0
    boss.look()
    assert not second.hand.jobs, "still not, when it is asked again"

    enqueue(tasks.collect, 1)
    boss.look_at = boss.poll_at = 0.0
    boss.look()
    assert len(second.job().entries) == 1


@pytest.mark.slow
def test_what_waits_in_the_background_is_taken_when_its_worker_is_free(boss: Pusher, play: Play) -> None:
    """Law: the end of one background job is the beginning of the next, without waiting for a poll."""
    worker, _ = play(1), play(2)
    enqueue(tasks.collect.using(priority=-1), 1200)
    boss.look()
    worker.job()
    worker.report()
    assert boss.poll_at == boss.look_at == 0.0
    boss.look()
    assert worker.job().entries


def test_a_single_worker_does_both(boss: Pusher, play: Play) -> None:
    """Law: where there is one worker, the background is its work too, after everything else."""
    worker = play(1)
    enqueue(tasks.collect.using(priority=-1), 1)
    enqueue(tasks.collect, 1)
    boss.look()
    assert [payload for _, payload in worker.job().entries]
    worker.report()
    boss.look_at = boss.poll_at = 0.0
    boss.look()
    assert worker.job().entries
    assert OrmQ.objects.filter(key="default:-1").exists()


def test_a_look_at_an_empty_queue_is_three_statements(
    boss: Pusher, play: Play, django_assert_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    """Law: a cluster that has nothing to do costs its database little, however often it looks."""
    play(1)
    boss.look()  # a new connection to PostgreSQL prepares its claim
    boss.look_soon()
    with django_assert_num_queries(3):  # a claim, the keys, the next that is due
        boss.look()


def test_a_priority_that_is_new_is_looked_at_at_once(boss: Pusher, play: Play) -> None:
    """Law: a priority that nobody has used for a while waits for no poll."""
    workers = [play(pid) for pid in (1, 2)]
    enqueue(tasks.collect.using(priority=5), 1)
    boss.look()
    assert boss.poll_at == boss.look_at == 0.0
    boss.look()
    assert len(workers[0].job().entries) == 1
    assert boss.poll_at > 0.0, "it is known now"


def test_what_is_urgent_goes_first(boss: Pusher, play: Play) -> None:
    """Law: of the priorities that there are, the highest is claimed first."""
    worker = play(1)
    enqueue(tasks.collect.using(priority=5), 1)
    enqueue(tasks.write, 3)
    boss.look()
    worker.job()
    worker.report()
    enqueue(tasks.collect.using(priority=5), 1)
    boss.look_soon()
    boss.look()
    [[_, payload]] = worker.job().entries
    assert "collect" in target_of_payload(payload).path


def test_after_a_batch_the_next_look_waits_for_more(boss: Pusher, play: Play) -> None:
    """Law: the more was claimed at once, the longer what comes next may gather; what comes alone is not held up."""
    play(1)
    for count in (10, 1):
        enqueue(tasks.collect, count)
        boss.poll_at, before = 0.0, time.monotonic()
        boss.look()
        assert boss.look_at >= before + pause_after(count)
        assert boss.look_at <= time.monotonic() + pause_after(count)
        boss.hands[1].jobs.clear()


@pytest.mark.django_db(transaction=True)
def test_the_database_is_back_when_it_has_answered(boss: Pusher, caplog: pytest.LogCaptureFixture) -> None:
    """Law: a step that had nothing to ask of a database that is away does not say that it is back."""

    def fail() -> None:
        raise OperationalError("gone away")

    boss.safely(fail)
    boss.safely(boss.renew)
    assert "database=back" not in caplog.text
    boss.safely(boss.broker.keys)
    assert "database=back" in caplog.text
