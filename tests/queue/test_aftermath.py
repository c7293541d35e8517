"""What was running when its worker ended: what is counted, what fails, and who hears of it."""

import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.dispatch import Signal
from django.tasks import TaskResultStatus, task_backends
from django.tasks.signals import task_finished
from django_q.models import Failure, OrmQ, Task
from django_q.signals import post_execute, post_execute_in_worker
from django_q.tasks import async_task

from notifications.backends.queue import OrmBroker
from notifications.backends.queue.aftermath import TIMEOUT, settle_crashed
from notifications.backends.queue.calls import plan
from notifications.backends.queue.processes import Job

from . import tasks
from .conftest import claimed, run

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_crash_is_counted_in_the_entry() -> None:
    """Law: twice it runs again, alone; at the third crash it is a failure and has left the queue."""
    results = [tasks.collect.enqueue([word]) for word in ("a", "b")]
    pks = [pk for pk, _ in claimed().entries]
    for _ in range(2):
        settle_crashed(OrmBroker(), pks, "died", time.monotonic())
        assert OrmQ.objects.count() == 2
    OrmQ.objects.update(lock="2000-01-01T00:00:00Z")
    assert [len(call.pks) for call in plan(claimed())[0]] == [1, 1]
    settle_crashed(OrmBroker(), pks, "died", time.monotonic())
    run(claimed())
    assert not OrmQ.objects.exists()
    results[0].refresh()
    assert (results[0].status, results[0].attempts) == (TaskResultStatus.FAILED, 3)


def test_a_call_over_its_time_fails_at_once() -> None:
    """Law: one that ran alone had its time; those that ran merged get it each alone."""
    task_backends["default"].enqueue_many([(tasks.collect, [["a"]], {})] * 2)  # type: ignore[attr-defined]
    pks = [pk for pk, _ in claimed().entries]
    settle_crashed(OrmBroker(), pks, TIMEOUT, time.monotonic())
    assert OrmQ.objects.count() == 2
    settle_crashed(OrmBroker(), pks[:1], TIMEOUT, time.monotonic())
    run(Job(float("inf"), [(pk, payload) for pk, payload, _ in OrmBroker().table.read(pks[:1])]))
    assert OrmQ.objects.count() == 1
    assert Failure.objects.get().result.startswith("builtins.TimeoutError: ")


@pytest.mark.parametrize("reason", [TIMEOUT, "died"])
def test_what_has_ended_says_so_before_it_is_settled(reason: str) -> None:
    """Law: from its end on the result is that of the row to come: the error, when it began, when it ended."""
    result = tasks.add.enqueue(1)
    [(pk, _)] = claimed().entries
    for _ in range(1 if reason == TIMEOUT else 3):
        settle_crashed(OrmBroker(), [pk], reason, time.monotonic() - 60)
    ended = tasks.add.get_result(result.id)
    assert ended.status == TaskResultStatus.FAILED
    assert ended.errors[0].exception_class is (TimeoutError if reason == TIMEOUT else SystemError)
    assert ended.attempts == (1 if reason == TIMEOUT else 3)
    assert ended.finished_at - ended.started_at >= timedelta(seconds=60)
    run(claimed())
    row = Failure.objects.get()
    assert (row.started, row.stopped) == (ended.started_at, ended.finished_at)
    assert tasks.add.get_result(result.id) == ended


HOOKED: list[Any] = []


@pytest.fixture(autouse=True)
def forget_hooked() -> None:
    HOOKED.clear()


def hook(row: Task) -> None:
    HOOKED.append(row.result)


@pytest.mark.parametrize("reason", [TIMEOUT, "died"])
def test_an_end_that_was_not_its_own_is_heard_of(reason: str) -> None:
    """Law: after a timeout, or the last death of its worker, a task is settled as any other that failed: hook, chain
    and signals, as with django-q2. A worker does it, and the task does not run."""
    heard: Counter[Signal] = Counter()

    def hear(signal: Signal, **kwargs: Any) -> None:
        heard[signal] += 1

    task_id = async_task(
        "tests.queue.tasks.double",
        2,
        hook="tests.queue.test_aftermath.hook",
        group="g",
        cached=False,
        sync=False,
        chain=[("tests.queue.tasks.double", (4,))],
    )
    result = tasks.add.enqueue(1)
    for pk, _ in claimed().entries:
        for _ in range(1 if reason == TIMEOUT else 3):
            settle_crashed(OrmBroker(), [pk], reason, time.monotonic())
    signals = (post_execute, post_execute_in_worker, task_finished)
    for signal in signals:
        signal.connect(hear)
    try:
        run(claimed())
    finally:
        for signal in signals:
            signal.disconnect(hear)
    row = Failure.objects.get(pk=task_id)
    result.refresh()
    assert (row.hook, HOOKED) == ("tests.queue.test_aftermath.hook", [row.result])
    assert heard == {post_execute: 2, post_execute_in_worker: 2, task_finished: 1}
    assert result.status == TaskResultStatus.FAILED
    assert OrmQ.objects.get().args() == (4,)


def test_a_hook_that_ends_its_worker_is_not_called_again() -> None:
    """Law: then the failure is recorded without it, so that it ends."""
    task_id = async_task("tests.queue.tasks.double", 2, hook="tests.queue.test_aftermath.hook")
    [(pk, _)] = claimed().entries
    settle_crashed(OrmBroker(), [pk], TIMEOUT, time.monotonic())
    assert not Failure.objects.exists()
    settle_crashed(OrmBroker(), [pk], "died", time.monotonic())
    assert Failure.objects.get(pk=task_id).result.startswith("builtins.TimeoutError: ")
    assert HOOKED == []
    assert not OrmQ.objects.exists()


def make_lambda() -> Any:
    return lambda: None


class Once:
    """Pickles, but what is unpickled does not pickle again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return make_lambda, ()


def test_what_does_not_pickle_again_does_not_run_again() -> None:
    """Law: its crash cannot be counted in it, so the first is the last."""
    task_id = async_task("tests.queue.tasks.double", Once())
    settle_crashed(OrmBroker(), [pk for pk, _ in claimed().entries], "died", time.monotonic())
    assert "PicklingError" in Failure.objects.get(pk=task_id).result
    assert not OrmQ.objects.exists()
