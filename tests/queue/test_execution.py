"""A worker's work, in this process: what is merged, what is recorded, what goes back."""

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, connection
from django.dispatch import Signal
from django.tasks import TaskResultStatus
from django.tasks.exceptions import TaskResultDoesNotExist
from django.tasks.signals import task_finished, task_started
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import Failure, OrmQ, Success, Task
from django_q.signals import post_execute, post_execute_in_worker
from django_q.tasks import async_task

from notifications.backends.mergeable import mergeable
from notifications.backends.queue import OrmBroker
from notifications.backends.queue.calls import plan
from notifications.backends.queue.execution import Execution
from notifications.backends.queue.processes import Job, Slot
from notifications.backends.queue.records import encode
from notifications.backends.queue.sql import QueueTable

from . import tasks
from .conftest import claimed, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    path = tmp_path / "lines.txt"
    monkeypatch.setenv("QUEUE_TEST_FILE", str(path))
    return lambda: path.read_text().splitlines() if path.exists() else []


@pytest.mark.slow
def test_waiting_calls_of_a_mergeable_task_become_one(
    lines: Callable[[], list[str]], django_assert_num_queries: Any
) -> None:
    """Law: one call with the joined list; one row each; one transaction for all."""
    results = [tasks.collect.enqueue([f"{i}"]) for i in range(50)]
    job = claimed()
    # begin, results, delete, commit; or one statement
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 4):
        assert run(job) == ([], {})
    assert lines() == [" ".join(str(i) for i in range(50))]
    assert Success.objects.count() == 50
    assert not OrmQ.objects.exists()
    assert {tasks.collect.get_result(result.id).status for result in results} == {TaskResultStatus.SUCCESSFUL}
    assert tasks.collect.get_result(results[7].id).args == [["7"]]


def test_merged_calls_have_the_time_of_all() -> None:
    """Law: a backlog of slow work is not killed for having been merged, nor does a stuck one hold a worker for days."""
    tasks.collect.enqueue(["a"])
    [alone], _ = plan(claimed())
    tasks.collect.enqueue(["b"])
    OrmQ.objects.update(lock=timezone.now())
    both = claimed()
    [merged], _ = plan(both)
    assert alone.limit is not None
    assert merged.limit == 2 * alone.limit
    [many], _ = plan(Job(both.start_before, both.entries * 50))
    assert many.limit == 4 * alone.limit, "but not as long as all of a long batch"


def test_only_what_promises_it_is_merged() -> None:
    """Law: any other task runs as its own, and a mergeable one called otherwise too."""
    tasks.write.enqueue("a")
    tasks.write.enqueue("b")
    tasks.collect.enqueue(["c"])
    tasks.collect.enqueue(words=["d"])
    tasks.collect.enqueue(["e"])
    tasks.collect.enqueue(["f"])
    calls, unknown = plan(claimed())
    assert [len(call.pks) for call in calls] == [1, 1, 1, 1, 2]
    assert unknown == {}


def test_a_merged_call_that_fails_fails_each() -> None:
    results = [tasks.collect_or_fail.enqueue([word]) for word in ("a", "b")]
    run(claimed())
    for result in results:
        result.refresh()
        assert result.status == TaskResultStatus.FAILED
        assert result.errors[0].exception_class is ValueError
    assert Failure.objects.count() == 2
    assert not OrmQ.objects.exists()


def test_what_is_late_goes_back_unbegun(lines: Callable[[], list[str]]) -> None:
    """Law: after its time a job's entries are not begun, so that others may have them."""
    tasks.write.enqueue("a")
    job = claimed()
    late = Job(time.monotonic() - 1, job.entries)
    assert run(late) == ([job.entries[0][0]], {})
    assert lines() == []


def test_a_stop_lets_the_rest_go_back(lines: Callable[[], list[str]]) -> None:
    tasks.write.enqueue("a")
    slot = Slot()
    slot.ask_to_stop()
    job = claimed()
    assert Execution(OrmBroker(), slot).run(job)[0] == [job.entries[0][0]]
    assert lines() == []


def test_signals_are_sent_where_the_work_is(caplog: pytest.LogCaptureFixture) -> None:
    """Law: started and finished come once for each task, with its own id, status and result."""
    heard: list[tuple[Any, ...]] = []

    def started(task_result: Any, **kwargs: Any) -> None:
        heard.append(("started", task_result.id, task_result.status))

    def finished(task_result: Any, **kwargs: Any) -> None:
        heard.append(("finished", task_result.id, task_result.status))

    task_started.connect(started)
    task_finished.connect(finished)
    try:
        good, bad = tasks.add.enqueue(1), tasks.fail.enqueue("boom")
        run(claimed())
    finally:
        task_started.disconnect(started)
        task_finished.disconnect(finished)
    assert heard == [
        ("started", good.id, TaskResultStatus.RUNNING),
        ("finished", good.id, TaskResultStatus.SUCCESSFUL),
        ("started", bad.id, TaskResultStatus.RUNNING),
        ("finished", bad.id, TaskResultStatus.FAILED),
    ]
    [error] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert error.exc_info is not None
    assert bad.id in error.getMessage()


@pytest.mark.parametrize("hook", [None, "tests.queue.test_execution.hook"])
@pytest.mark.parametrize("name", ["unpicklable", "nameless"])
def test_a_result_must_be_json_for_a_task_and_may_be_anything_for_a_function(
    name: str, hook: str | None
) -> None:
    """Law: what cannot be stored never makes a task run again; what it looks like is kept, and given to its hook."""
    HOOKED.clear()
    task_id = async_task(f"tests.queue.test_execution.{name}", hook=hook)
    run(claimed())
    result = Success.objects.get(pk=task_id).result
    assert name in result.lower()
    assert ([result] if hook else []) == HOOKED
    assert not OrmQ.objects.exists()


def unpicklable() -> Any:
    return lambda: None


def nameless() -> Any:
    return Nameless()


def add(first: int, second: int) -> int:
    return first + second


HOOKED: list[Any] = []


def hook(row: Task) -> None:
    HOOKED.append(row.result)


class Nameless:
    """Neither pickled nor shown."""

    def __reduce__(self) -> str:
        raise TypeError("not pickled")

    def __repr__(self) -> str:
        raise TypeError("not shown")


@pytest.mark.parametrize(
    "limit", ["5", [], float("inf"), float("nan"), pytest.param(10**400, id="huge"), None, -1]
)
def test_a_time_limit_may_be_anything(limit: Any) -> None:
    """Law: no option of an entry ends its worker before the work, which nobody would count."""
    task_id = async_task("tests.queue.test_execution.twice", 2, timeout=limit)
    run(claimed())
    assert Success.objects.get(pk=task_id).result == 4
    assert not OrmQ.objects.exists()


def test_a_time_limit_that_is_no_number_is_the_clusters() -> None:
    async_task("tests.queue.test_execution.twice", 2, timeout="5")
    async_task("tests.queue.test_execution.twice", 2)
    async_task("tests.queue.test_execution.twice", 2, timeout=None)
    [text, none, unlimited], _ = plan(claimed())
    assert text.limit == none.limit == Conf.TIMEOUT
    assert unlimited.limit is None


class Silent(Exception):
    def __str__(self) -> str:
        raise TypeError("not told")


def fail_silently() -> None:
    raise Silent


def test_an_error_that_has_no_text_is_an_error() -> None:
    """Law: whatever a task raises, it has failed once, and its worker goes on."""
    task_ids = [async_task("tests.queue.test_execution.fail_silently"), async_task(twice, 2)]
    assert run(claimed()) == ([], {})
    assert Failure.objects.get(pk=task_ids[0]).result.startswith("tests.queue.test_execution.Silent: ")
    assert Success.objects.get(pk=task_ids[1]).result == 4


@pytest.mark.parametrize("signal", [post_execute, post_execute_in_worker, task_finished])
def test_what_is_done_is_not_done_again_for_a_receiver(signal: Signal) -> None:
    """Law: an error of whoever hears of the end changes nothing about it."""

    def receiver(**kwargs: Any) -> None:
        raise RuntimeError("boom")

    signal.connect(receiver)
    try:
        result = tasks.add.enqueue(1)
        run(claimed())
    finally:
        signal.disconnect(receiver)
    result.refresh()
    assert result.status == TaskResultStatus.SUCCESSFUL


@pytest.mark.parametrize("hook", [None, "tests.queue.test_execution.hook"])
@pytest.mark.parametrize("text", ["a\udc80b", "a\0b", "a" * 300], ids=["no unicode", "NUL", "long"])
def test_any_text_has_a_form_that_can_be_stored(text: str, hook: str | None) -> None:
    """Law: whatever a task is called, its result is kept."""
    task_id = async_task("tests.queue.test_execution.twice", 2, task_name=text, group=text, hook=hook)
    run(claimed())
    row = Success.objects.get(pk=task_id)
    assert (row.result, row.name[0], row.group[0]) == (4, "a", "a")
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize("error", [DataError, IntegrityError, ValueError])
def test_a_row_that_is_refused_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    """Law: the results of the others are kept, its own says why it is not; nothing of it runs again."""
    results = [tasks.add.enqueue(number) for number in range(7)]
    finish = QueueTable.finish

    def refuse(table: QueueTable, pks: Any, rows: Any) -> None:
        if any(row[6] == encode(4) or row[0] == refused_again for row in rows):
            raise error("too large")
        finish(table, pks, rows)

    refused_again = results[6].id.split("-")[0]
    monkeypatch.setattr(QueueTable, "finish", refuse)
    run(claimed())
    assert not OrmQ.objects.exists()
    kept = [tasks.add.get_result(result.id).return_value for result in results[:6]]
    reason = kept.pop(4)
    assert kept == [0, 1, 2, 3, 5]
    assert reason == f"{error.__module__}.{error.__name__}: the result cannot be stored: too large"
    with pytest.raises(TaskResultDoesNotExist):
        tasks.add.get_result(results[6].id)
    said = [record.getMessage().split("result=")[1] for record in caplog.records if record.exc_info]
    assert said == ["refused", "refused", "lost"]


def test_an_entry_that_is_there_twice() -> None:
    """Law: it runs twice, as it says, and holds up nobody."""
    tasks.add.enqueue(1)
    [entry] = OrmQ.objects.all()
    OrmQ.objects.create(key=entry.key, payload=entry.payload, lock=entry.lock)
    run(claimed())
    assert Success.objects.get().result == 1
    assert not OrmQ.objects.exists()


def test_hooks_of_django_q_are_called() -> None:
    """Law: the same broker serves any task of django-q2, with what its own monitor does after it."""
    HOOKED.clear()
    async_task("tests.queue.test_execution.twice", 2, hook="tests.queue.test_execution.hook")
    run(claimed())
    assert HOOKED == [4]
    assert Success.objects.count() == 1
    assert not OrmQ.objects.exists()


def leave(row: Task) -> None:
    sys.exit(3)


def test_a_hook_that_exits_has_its_task_not_done_again() -> None:
    """Law: whatever a hook does, its task is done."""
    task_id = async_task("tests.queue.test_execution.twice", 2, hook="tests.queue.test_execution.leave")
    run(claimed())
    assert Success.objects.get(pk=task_id).result == 4
    assert not OrmQ.objects.exists()


def test_a_transaction_left_open_is_nobody_elses() -> None:
    """Law: neither the record of a task nor what the next one writes is lost with it."""
    task_ids = [async_task("tests.queue.test_execution.leave_open"), async_task(write_a_user)]
    run(claimed())
    connection.close()
    assert {task_id for task_id in task_ids if Success.objects.filter(pk=task_id).exists()} == set(task_ids)
    assert User.objects.exists()
    assert not OrmQ.objects.exists()


def leave_open() -> None:
    connection.set_autocommit(False)


def write_a_user() -> None:
    User.objects.create_user("somebody")


def twice(number: int) -> int:
    return 2 * number


class Adder:
    """A callable object."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __call__(self, second: int) -> int:
        return self.first + second


@pytest.mark.parametrize(
    ("func", "path"),
    [
        (functools.partial(add, 1), "tests.queue.test_execution.add"),
        (functools.partial(functools.partial(add, first=1)), "tests.queue.test_execution.add"),
        (Adder(1), "tests.queue.test_execution.Adder"),
        (Adder(1).__call__, "tests.queue.test_execution.Adder.__call__"),
    ],
    ids=["partial", "partial of a partial", "object", "bound method"],
)
def test_whatever_can_be_called_runs(func: Callable[..., int], path: str) -> None:
    """Law: `async_task` takes all that pickles and can be called; its row names what is called in the end."""
    async_task(func, second=2)
    assert run(claimed()) == ([], {})
    row = Success.objects.get()
    assert (row.result, row.func) == (3, path)


async def add_async(first: int, second: int) -> int:
    return first + second


class AsyncAdder(Adder):
    async def __call__(self, second: int) -> int:  # type: ignore[override]
        return self.first + second


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_is_async_runs_to_its_end(wrapped: bool) -> None:
    """Law: a coroutine function is called as any other, whatever it is wrapped in."""
    if wrapped:
        ids = [async_task(functools.partial(add_async, 1), 2), async_task(AsyncAdder(1), 2)]
    else:
        ids = [async_task("tests.queue.test_execution.add_async", 1, 2), async_task(add_async, 1, second=2)]
    run(claimed())
    assert [Success.objects.get(pk=task_id).result for task_id in ids] == [3, 3]


@mergeable
def join(words: list[str]) -> None:
    """Not a Django task."""


def test_a_partial_is_not_joined_with_its_function() -> None:
    """Law: only calls of the very same function become one, whatever path they name."""
    async_task(functools.partial(join), ["a"])
    async_task(join, ["b"])
    calls, _ = plan(claimed())
    assert [len(call.pks) for call in calls] == [1, 1]


def test_the_admin_resubmits_a_task() -> None:
    """Law: the function of a row is a path the admin can enqueue again."""
    tasks.add.enqueue(1, b=2)
    run(claimed())
    row = Success.objects.get()
    async_task(row.func, *row.args, **row.kwargs)
    run(claimed())
    assert [row.result for row in Success.objects.all()] == [3, 3]
