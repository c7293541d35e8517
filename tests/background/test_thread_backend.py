"""The `thread` backend: Django's task interface, kept truthfully for tasks of this process."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.exceptions import SuspiciousOperation  # noqa: F401
from django.db import transaction
from django.tasks import TaskResultStatus, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued, task_finished, task_started
from django.utils import timezone

from notifications.background import BackgroundTask, BackgroundTasks, pool, testing, threads
from notifications.gathering import LONGEST_PAUSE, pause_after
from tests.processes import wait_until

from . import work

THREAD = "notifications.backends.thread.ThreadBackend"


def options(settings, **given: object) -> None:
    settings.TASKS = {**settings.TASKS, "thread": {"BACKEND": THREAD, "OPTIONS": given}}


class Clock:
    """Stands still until a test moves it."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Iterator[Clock]:
    standing = Clock()
    monkeypatch.setattr(threads, "time", standing)
    yield standing
    work.let_go()
    testing.wait()


def held_lane(settings, **more: object) -> None:
    """Two threads. On one a call waits for the gate, and two more of its kind wait behind it."""
    settings.BACKGROUND_TASKS = {"MAX_THREADS": 2, **more}
    work.join_at_the_gate.enqueue(["held"])
    assert work.entered.wait(work.WAIT)
    for word in "bc":
        work.join_at_the_gate.enqueue([word])


def held_pool(settings, **more: object) -> None:
    """One thread, and a task on it that waits for the gate."""
    settings.BACKGROUND_TASKS = {"MAX_THREADS": 1, **more}
    BackgroundTasks([BackgroundTask(work.hold)]).hand_to(pool.submit)
    assert work.entered.wait(work.WAIT)


@pytest.mark.parametrize("task", [work.write, work.awrite])
def test_sync_and_async_tasks_succeed(task) -> None:
    """A result says what happened: status, times, attempts, return value, from any thread of the process."""
    result = task.enqueue("x")
    assert result.status == TaskResultStatus.READY
    assert result.enqueued_at is not None
    testing.wait()
    assert result.status == TaskResultStatus.READY  # a snapshot, until it is refreshed
    result.refresh()
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == "X"
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.attempts == 1
    found: list[object] = []
    other = threading.Thread(target=lambda: found.append(task.get_result(result.id).status))
    other.start()
    other.join(work.WAIT)
    assert found == [TaskResultStatus.SUCCESSFUL]


async def test_the_async_interface(settings) -> None:
    """`aenqueue`, `aget_result`, `arefresh`."""
    result = await work.awrite.aenqueue("x")
    testing.wait()
    await result.arefresh()
    assert result.is_finished
    assert (await work.awrite.aget_result(result.id)).return_value == "X"


def test_ready_running_and_finished_are_told_apart(settings) -> None:
    """READY while it waits, RUNNING while it runs, SUCCESSFUL afterwards."""
    settings.BACKGROUND_TASKS = {"MAX_THREADS": 1}
    first, second = work.write_later.enqueue("first"), work.write.enqueue("second")
    assert work.entered.wait(work.WAIT)
    first.refresh()
    second.refresh()
    assert (first.status, second.status) == (TaskResultStatus.RUNNING, TaskResultStatus.READY)
    work.let_go()
    testing.wait()
    first.refresh()
    second.refresh()
    assert first.status == second.status == TaskResultStatus.SUCCESSFUL


@pytest.mark.parametrize(("task", "error"), [(work.exit_task, SystemExit), (work.wrong_return, TypeError)])
def test_E3_failures_are_results_and_one_error_record(caplog, task, error) -> None:
    """E2, E3: `SystemExit` included, and a return value that is not JSON; traceback, name and id are logged once."""
    result = task.enqueue()
    testing.wait()
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is error
    assert "Traceback" in result.errors[0].traceback
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert result.id in record.getMessage()
    assert task.module_path in record.getMessage()
    assert record.exc_info[0] is error


def test_a_task_may_take_its_context() -> None:
    """`takes_context`: the attempt's number and the running result."""
    result = work.attempt.enqueue("x")
    testing.wait()
    result.refresh()
    assert result.return_value == [1, "RUNNING", "x"]


def test_signals_tell_the_whole_story() -> None:
    """Enqueued, started, finished: once each, with the same id; a broken receiver breaks nothing."""
    seen: list[tuple[str, str]] = []

    def receiver(signal, task_result, **kwargs) -> None:
        seen.append((task_result.status.value, task_result.id))
        if signal is task_started:
            raise RuntimeError("a broken receiver")

    for signal in (task_enqueued, task_started, task_finished):
        signal.connect(receiver)
    try:
        result = work.write.enqueue("x")
        testing.wait()
    finally:
        for signal in (task_enqueued, task_started, task_finished):
            signal.disconnect(receiver)
    assert seen == [("READY", result.id), ("RUNNING", result.id), ("SUCCESSFUL", result.id)]
    assert work.diary == ["x"]


def test_capabilities_are_true() -> None:
    """What the flags deny is refused; a result is known in this process only, so that flag is False."""
    backend = task_backends["thread"]
    assert backend.supports_async_task
    assert not backend.supports_defer
    assert not backend.supports_priority
    assert not backend.supports_get_result
    with pytest.raises(InvalidTask):
        work.write.using(run_after=timezone.now() + timedelta(hours=1))
    with pytest.raises(InvalidTask):
        work.write.using(priority=5)


def test_unknown_results_do_not_exist() -> None:
    """The framework's own exception."""
    with pytest.raises(TaskResultDoesNotExist):
        work.write.get_result("unknown")


def test_the_last_results_are_kept(settings) -> None:
    """MAX_RESULTS finished ones; the oldest is forgotten first."""
    options(settings, MAX_RESULTS=2)
    results = [work.write.enqueue(str(number)) for number in range(3)]
    testing.wait()
    with pytest.raises(TaskResultDoesNotExist):
        results[0].refresh()
    results[1].refresh()
    results[2].refresh()
    assert results[2].return_value == "2"


@pytest.mark.django_db(transaction=True)
def test_R11_outside_a_request_a_transaction_decides() -> None:
    """R11: it runs when the transaction commits; after a rollback never, and its result is gone."""
    with transaction.atomic():
        committed = work.write.enqueue("committed")
        testing.wait()
        assert work.diary == []
        with transaction.atomic():
            transaction.set_rollback(True)
            rolled_back = work.write.enqueue("rolled back")
    testing.wait()
    assert work.diary == ["committed"]
    committed.refresh()
    with pytest.raises(TaskResultDoesNotExist):
        rolled_back.refresh()


def test_waiting_calls_of_a_mergeable_task_run_as_one(settings) -> None:
    """What waits at the same time is one call; each result has its own outcome."""
    held_pool(settings)
    results = [work.join.enqueue([str(number)]) for number in range(5)]
    other = work.write.enqueue("not merged")
    work.let_go()
    testing.wait()
    assert work.diary == ["held", ["0", "1", "2", "3", "4"], "not merged"]
    for result in [*results, other]:
        result.refresh()
        assert result.status == TaskResultStatus.SUCCESSFUL
        assert result.attempts == 1


@pytest.mark.slow
def test_after_a_batch_its_kind_rests_and_nobody_else(settings, clock) -> None:
    """Under load more comes together: the lane is left alone for a moment, and other work goes on meanwhile."""
    held_pool(settings)
    for word in "ab":
        work.join.enqueue([word])
    work.let_go()
    wait_until(lambda: work.diary == ["held", ["a", "b"]])
    for word in "cde":
        work.join.enqueue([word])
    work.write.enqueue("between")
    wait_until(lambda: work.diary[2:] == ["between"])
    assert not pool.current_pool().wait_idle(0.05)
    clock.now += pause_after(2)
    work.write.enqueue("after")
    testing.wait()
    assert work.diary[3:] in (["after", ["c", "d", "e"]], [["c", "d", "e"], "after"])


@pytest.mark.slow
def test_what_comes_while_a_batch_runs_is_the_next_batch(settings, clock) -> None:
    """Other threads have nothing to do, and leave it to gather. What came alone needs no rest afterwards."""
    held_lane(settings)
    work.write.enqueue("between")
    wait_until(lambda: work.diary == ["between"])
    work.let_go()
    testing.wait()
    assert work.diary == ["between", ["held"], ["b", "c"]]


@pytest.mark.slow
def test_a_batch_that_hangs_holds_up_nobody_for_long(settings, clock) -> None:
    """After a fortieth of a second another thread takes what waits behind it."""
    held_lane(settings)
    clock.now += LONGEST_PAUSE
    work.write.enqueue("after")
    wait_until(lambda: len(work.diary) == 2)
    assert ["b", "c"] in work.diary
    work.let_go()
    testing.wait()


@pytest.mark.slow
def test_what_rests_is_taken_without_another_word(settings, monkeypatch) -> None:
    """By the clock: nobody has to come for it."""
    monkeypatch.setattr(threads, "IDLE_SECONDS", 60)
    held_lane(settings)
    # Together or, where "c" came after 25 ms, one after the other; before the one that is held gives up.
    wait_until(lambda: [word for words in work.diary for word in words] == ["b", "c"], timeout=5)
    work.let_go()
    testing.wait()


@pytest.mark.slow
def test_what_rests_keeps_a_thread_for_itself(settings, clock) -> None:
    """Other work gets another thread, and what joins the lane needs none."""
    held_lane(settings, MAX_THREADS=8)
    work.write_later.enqueue("held too")
    for word in "de":
        work.join_at_the_gate.enqueue([word])
    wait_until(lambda: pool.current_pool().usage()["running"] == 2)
    assert len(pool.current_pool()._threads) == 3
    clock.now += LONGEST_PAUSE
    wait_until(lambda: work.diary == [["b", "c", "d", "e"]])


def test_calls_of_one_request_are_merged_where_they_stand(settings) -> None:
    """R2 holds: only neighbours are merged."""
    tasks = BackgroundTasks()
    tasks.add_task(work.join, ["1"])
    tasks.add_task(work.join, ["2"])
    tasks.add_task(work.note, "between")
    tasks.add_task(work.join, ["3"])
    tasks.run()
    assert work.diary == [["1", "2"], "between", ["3"]]


def test_a_bad_call_does_not_fail_those_it_was_merged_with(settings) -> None:
    """The joined call fails, so each runs by itself."""
    held_pool(settings)
    results = [work.join.enqueue([word]) for word in ("a", "poison", "b")]
    work.let_go()
    testing.wait()
    for result in results:
        result.refresh()
    assert [result.status.value for result in results] == ["SUCCESSFUL", "FAILED", "SUCCESSFUL"]
    assert work.diary == ["held", ["a"], ["b"]]


@pytest.mark.slow
def test_a_merged_batch_is_bounded(settings) -> None:
    """At most 500 calls as one."""
    held_pool(settings, MAX_WAITING=2000)
    for number in range(700):
        work.join.enqueue([str(number)])
    work.let_go()
    testing.wait()
    assert [len(words) for words in work.diary[1:]] == [500, 200]


def test_E5_what_the_pool_cannot_take_goes_to_another_backend(settings, caplog) -> None:
    """E5: enqueued on OVERFLOW_TO, one WARNING with both ids."""
    held_pool(settings, MAX_WAITING=0)
    result = work.on_default.using(backend="thread").enqueue("overflow")
    [moved] = task_backends["default"].results
    assert moved.args == ["overflow"]
    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert result.id in record.getMessage()
    assert moved.id in record.getMessage()
    result.refresh()
    assert result.status == TaskResultStatus.READY
    assert work.diary == []


def test_E5_with_nowhere_to_go_a_task_runs_in_its_caller(settings) -> None:
    """E5: OVERFLOW_TO None, or a backend that fails: then a task goes the way of a plain function."""
    options(settings, OVERFLOW_TO=None)
    held_pool(settings, MAX_WAITING=0)
    result = work.write.enqueue("overflow")
    assert work.diary == ["overflow"]
    result.refresh()
    assert result.status == TaskResultStatus.SUCCESSFUL


def test_E5_a_backend_that_fails_loses_nothing(settings, caplog) -> None:
    """E5: the error is logged, the task runs in its caller."""
    settings.TASKS = {
        **settings.TASKS,
        "broken": {"BACKEND": "tests.background.test_thread_backend.Broken"},
    }
    options(settings, OVERFLOW_TO="broken")
    held_pool(settings, MAX_WAITING=0)
    work.write.enqueue("overflow")
    assert work.diary == ["overflow"]
    assert "Task not moved" in caplog.text


class Broken(task_backends["default"].__class__):  # type: ignore[misc]
    def enqueue(self, *args, **kwargs):
        raise ConnectionError("no broker")


def test_E5_refused_tasks_fail_truthfully(settings) -> None:
    """E5: OVERFLOW "refuse" and nowhere to go: the result says FAILED."""
    options(settings, OVERFLOW_TO=None)
    held_pool(settings, MAX_WAITING=0, OVERFLOW="refuse")
    result = work.write.enqueue("overflow")
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert work.diary == []


def test_E8_at_the_deadline_waiting_tasks_go_on_elsewhere(settings) -> None:
    """E8: what had not been started is enqueued on OVERFLOW_TO; what runs is named."""
    held_pool(settings, DRAIN_TIMEOUT=0)
    work.write.enqueue("waits")
    work.join.enqueue(["waits too"])
    pool.shutdown()
    assert sorted(str(result.args) for result in task_backends["default"].results) == [
        "['waits']",
        "[['waits too']]",
    ]
    work.write.enqueue("after the end")
    assert task_backends["default"].results[-1].args == ["after the end"]
    assert work.diary == []


@pytest.mark.parametrize(
    ("given", "id"),
    [
        ({"MAX_RESULTS": -1}, "notifications.thread.E001"),
        ({"MAX_RESULTS": "many"}, "notifications.thread.E001"),
        ({"OVERFLOW_TO": "nowhere"}, "notifications.thread.E002"),
        ({"OVERFLOW_TO": "thread"}, "notifications.thread.E003"),
        ({"MAX_RESULT": 5}, "notifications.thread.E004"),
    ],
)
def test_wrong_options_are_refused_at_start(settings, given: dict[str, object], id: str) -> None:
    """System checks with stable ids."""
    options(settings, **given)
    assert [message.id for message in task_backends["thread"].check()] == [id]


def test_right_options_pass(settings) -> None:
    """The defaults, and everything that may be said."""
    assert task_backends["thread"].check() == []
    options(settings, MAX_RESULTS=0, OVERFLOW_TO=None)
    assert task_backends["thread"].check() == []
