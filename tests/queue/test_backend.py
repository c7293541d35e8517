"""`QueueBackend` through Django's own interface: enqueue, schedule, look at the result."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.tasks import TaskResultStatus, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued
from django.utils import timezone
from django_q.models import OrmQ, Task
from django_q.signing import SignedPackage

from notifications.backends.queue import OrmBroker, QueueBackend
from notifications.backends.queue.execution import Execution
from notifications.backends.queue.processes import Job, Slot

from . import tasks

pytestmark = pytest.mark.django_db


@pytest.fixture
def backend() -> QueueBackend:
    return task_backends["default"]  # type: ignore[return-value]


def test_the_flags_say_what_it_can(backend: QueueBackend) -> None:
    assert backend.supports_defer
    assert backend.supports_async_task
    assert backend.supports_get_result
    assert backend.supports_priority
    assert backend.enqueues_in_transaction


@pytest.mark.slow
def test_enqueue_is_one_insert(django_assert_num_queries: Any) -> None:
    """Law: one statement an enqueue, and one for any number."""
    tasks.add.enqueue(0)  # finds the function, once a process
    with django_assert_num_queries(1):
        tasks.add.enqueue(1, b=2)
    many = [(tasks.add, [i], {}) for i in range(500)]
    with django_assert_num_queries(1):
        results = task_backends["default"].enqueue_many(many)  # type: ignore[attr-defined]
    assert [result.args for result in results] == [[i] for i in range(500)]
    assert results[7].args == tasks.add.get_result(results[7].id).args


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_transaction_enqueues_nothing(backend: QueueBackend) -> None:
    """Law: the entry is in the caller's transaction."""
    with transaction.atomic():
        result = tasks.add.enqueue(1)
        transaction.set_rollback(True)
    assert not OrmQ.objects.exists()
    with pytest.raises(TaskResultDoesNotExist):
        tasks.add.get_result(result.id)


def test_the_admin_can_read_the_entry() -> None:
    """Law: an entry is django-q2's signed package, under the queue's name and its function's real path."""
    result = tasks.add.enqueue(1, b=2)
    entry = OrmQ.objects.get()
    assert entry.key == "default"
    assert entry.func() == "tests.queue.tasks.add.call"
    assert entry.name() == "add"
    assert (entry.args(), entry.kwargs()) == ((1,), {"b": 2})
    assert result.id == f"{entry.task_id()}-{entry.pk}"


def test_the_payload_is_plain() -> None:
    """Law: no class of ours is pickled, so that an entry outlives a deploy."""
    tasks.add.using(priority=5, run_after=timezone.now()).enqueue(1, b=2)
    plain = {str, int, tuple, dict, datetime}
    assert {type(value) for value in SignedPackage.loads(OrmQ.objects.get().payload).values()} <= plain


def test_run_after_is_the_lock() -> None:
    """Law: a deferred task waits in the database; until then its result says READY."""
    at = (timezone.now() + timedelta(hours=1)).replace(microsecond=0)
    result = tasks.add.using(run_after=at).enqueue(1)
    assert OrmQ.objects.get().lock == at
    assert OrmBroker().claim(10) == []
    assert tasks.add.get_result(result.id).status == TaskResultStatus.READY
    assert tasks.add.get_result(result.id).task.run_after == at


@pytest.mark.django_db(transaction=True)
def test_the_queue_of_a_task_is_known(settings: Any) -> None:
    """Law: a result says in which queue its task waits, or ran; one that is not configured any more hides no result."""
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default", "bulk"]}}
    result = tasks.add.using(queue_name="bulk").enqueue(1)
    assert tasks.add.get_result(result.id) == result
    [entry] = OrmBroker("bulk").claim(1)
    Execution(OrmBroker("bulk"), Slot()).run(Job(float("inf"), [(entry.pk, entry.payload)]))
    finished = tasks.add.get_result(result.id)
    assert (finished.task.queue_name, finished.return_value) == ("bulk", 1)
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default"]}}
    assert tasks.add.get_result(result.id).return_value == 1


def test_a_waiting_task_is_ready_and_a_taken_one_runs(backend: QueueBackend) -> None:
    """Law: the result says what the entry says."""
    result = tasks.add.enqueue(1, b=2)
    ready = tasks.add.get_result(result.id)
    assert ready == result
    assert ready.status == TaskResultStatus.READY
    assert ready.enqueued_at is not None
    assert abs(ready.enqueued_at - timezone.now()) < timedelta(seconds=5)
    assert len(OrmBroker().claim(10)) == 1
    result.refresh()
    assert result.status == TaskResultStatus.RUNNING
    assert result.attempts == 1


@pytest.mark.parametrize(
    "unknown", ["", "x", "0" * 32, "0" * 32 + "-1", "0" * 32 + "-99999999999999999", "1-1"]
)
def test_an_unknown_id_does_not_exist(backend: QueueBackend, unknown: str) -> None:
    """Law: unknown is not the same as waiting, whatever the id looks like."""
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(unknown)


def test_another_tasks_entry_is_not_found_by_its_key(backend: QueueBackend) -> None:
    """Law: both halves of the id must fit."""
    tasks.add.enqueue(1)
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(f"{'0' * 32}-{OrmQ.objects.get().pk}")


def test_priority_goes_first() -> None:
    """Law: higher priority first, whatever was enqueued before; negative ones last."""
    for priority in (0, -10, 50, 0, 100):
        tasks.add.using(priority=priority).enqueue(priority)
    order = [SignedPackage.loads(entry.payload)["args"][0] for entry in OrmBroker().claim(10)]
    assert order == [100, 50, 0, 0, -10]
    result = tasks.add.using(priority=50).enqueue(1)
    assert tasks.add.get_result(result.id).task.priority == 50


def test_a_claim_over_priorities_keeps_its_limit() -> None:
    """Law: never more than was asked for, however many priorities there are."""
    for priority in (0, 5, 9):
        for _ in range(2):
            tasks.add.using(priority=priority).enqueue(priority)
    assert [len(OrmBroker().claim(3)) for _ in range(3)] == [3, 3, 0]


@pytest.mark.slow
def test_an_urgent_entry_passes_a_bulk() -> None:
    """Law: a single urgent entry is claimed before a bulk that came earlier, though they wait together."""
    task_backends["default"].enqueue_many([(tasks.add, [i], {}) for i in range(1000)])  # type: ignore[attr-defined]
    tasks.add.using(priority=1).enqueue(-1)
    [first] = OrmBroker().claim(1)
    assert SignedPackage.loads(first.payload)["args"] == (-1,)


def test_missing_is_what_has_no_entry(backend: QueueBackend, django_assert_num_queries: Any) -> None:
    kept, lost = tasks.add.enqueue(1), tasks.add.enqueue(2)
    OrmQ.objects.filter(pk=int(lost.id.split("-")[1])).delete()
    with django_assert_num_queries(1):
        assert backend.missing([kept.id, lost.id, "strange"]) == {lost.id, "strange"}
    assert backend.missing([]) == set()


def test_waiting_since(backend: QueueBackend) -> None:
    """Law: the age of the queue is that of its longest waiting entry, of any priority."""
    assert backend.waiting_since() is None
    tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1)
    assert backend.waiting_since() is None
    tasks.add.enqueue(1)
    tasks.add.using(priority=9).enqueue(1)
    assert backend.waiting_since() == OrmQ.objects.order_by("lock")[0].lock


def test_arguments_must_be_json() -> None:
    with pytest.raises(TypeError):
        tasks.add.enqueue(object())
    assert not OrmQ.objects.exists()


def test_a_task_no_worker_could_find_is_refused(backend: QueueBackend) -> None:
    """Law: what cannot be imported in another process is refused at enqueue, not lost in it."""
    from django.tasks import task

    hidden = task(tasks.plain)
    with pytest.raises(InvalidTask, match="plain"):
        hidden.enqueue("x")


def test_an_unknown_queue_is_refused() -> None:
    with pytest.raises(InvalidTask, match="elsewhere"):
        tasks.add.using(queue_name="elsewhere")


def test_signal_is_sent_with_the_final_id() -> None:
    heard = []

    def hear(task_result: Any, **kwargs: Any) -> None:
        heard.append(task_result.id)

    task_enqueued.connect(hear)
    try:
        result = tasks.add.enqueue(1)
    finally:
        task_enqueued.disconnect(hear)
    assert heard == [result.id]


def test_the_async_interface() -> None:
    result = async_to_sync(tasks.add_async.aenqueue)(1)
    assert async_to_sync(tasks.add_async.aget_result)(result.id).status == TaskResultStatus.READY


def test_an_id_of_django_q_alone_finds_a_finished_task(backend: QueueBackend) -> None:
    """Law: a row of a plain function is no Django task: it has no TaskResult."""
    now = timezone.now()
    Task.objects.create(id="a" * 32, name="x", func="tests.queue.tasks.plain", started=now, stopped=now)
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result("a" * 32)
