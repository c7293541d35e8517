"""What a task came to: Django's `TaskResult`, read from an entry that waits or from the row it left.

The id of a result is `<task id>-<entry pk>`: the first finds django-q2's row, the second the entry.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connections, router
from django.tasks import DEFAULT_TASK_QUEUE_NAME, Task, TaskResult, TaskResultStatus, task_backends
from django.tasks.base import TaskError

from ...clock import database_now
from ..outcomes import change
from . import package
from .broker import queue_table
from .package import Package

ID = re.compile(r"(?P<task>[0-9a-f]{32})(?:-(?P<pk>[0-9]{1,18}))?")


def result_id(task_id: str, pk: int) -> str:
    return f"{task_id}-{pk}"


def task_id(result_id: str) -> str | None:
    match = ID.fullmatch(result_id)
    return match["task"] if match else None


def entry_pk(result_id: str) -> int | None:
    match = ID.fullmatch(result_id)
    return int(match["pk"]) if match and match["pk"] else None


def ready(task: Task, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], alias: str) -> TaskResult:
    """A result nobody has begun. TypeError where an argument is not JSON."""
    return TaskResult(
        task=task,
        id=task_id,
        status=TaskResultStatus.READY,
        enqueued_at=package.created_at(task_id[:32]),
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=list(args),
        kwargs=dict(kwargs),
        backend=alias,
        errors=[],
        worker_ids=[],
    )


def of_package(content: Package, result_id: str, alias: str) -> TaskResult | None:
    """The result an entry stands for, not begun. None where the entry calls no task this version knows."""
    try:
        task = package.target(content).task
    except package.UnknownFunction:
        return None
    if task is None:
        return None
    backend = content.get("backend", alias)
    queue_name, queues = content.get("cluster") or DEFAULT_TASK_QUEUE_NAME, task_backends[backend].queues
    if queues and queue_name not in queues:  # not any more: Django makes no such task
        queue_name = task.queue_name
    task = replace(
        task,
        backend=backend,
        queue_name=queue_name,
        priority=content.get("priority", 0),
        run_after=content.get("run_after"),
    )
    return ready(task, result_id, content["args"], content["kwargs"], task.backend)


def from_entry(result_id: str, content: Package, lock: datetime | None, alias: str) -> TaskResult | None:
    """While the entry exists, the lock tells who has it: see Note [A lease is a whole second].

    When it began is known to its worker only: to write it down would be one more statement for each task. One that
    has ended (see Note [Ended]) has failed, whoever has yet to hear of it.
    """
    result = of_package(content, result_id, alias)
    if result is None:
        return None
    workers = [result.task.queue_name] * (content.get("crashes", 0) + 1)
    if package.ENDED in content:
        ended = content[package.ENDED]
        _finish(result, content["started"], content["stopped"], workers, success=False, value=ended)
    elif lock is not None and _is_lease(lock, content):
        change(result, status=TaskResultStatus.RUNNING)
        result.worker_ids.extend(workers)
    return result


def from_row(result_id: str, alias: str) -> TaskResult | None:
    """From django-q2's row of a finished task, which has no column for priority and `run_after`."""
    from django_q.models import Task as TaskRow

    key = task_id(result_id)
    row = TaskRow.objects.using(router.db_for_read(TaskRow)).filter(pk=key).first() if key else None
    if row is None:
        return None
    content = {"id": row.id, "func": row.func, "args": row.args or (), "kwargs": row.kwargs or {}}
    content["cluster"] = row.cluster
    result = of_package(content, result_id, alias)
    if result is None:
        return None
    workers = [row.cluster or ""] * row.attempt_count
    _finish(result, row.started, row.stopped, workers, success=row.success, value=row.result)
    return result


def _finish(
    result: TaskResult, started: datetime, stopped: datetime, workers: list[str], *, success: bool, value: Any
) -> None:
    status = TaskResultStatus.SUCCESSFUL if success else TaskResultStatus.FAILED
    change(result, status=status, started_at=started, last_attempted_at=started, finished_at=stopped)
    result.worker_ids.extend(workers)
    if success:
        change(result, _return_value=value)
    else:
        result.errors.append(read_error(value))


def write_error(path: str, message: str, traceback: str) -> str:
    """The text of a failed row: its first line is what the admin's list shows."""
    return f"{path}: {' '.join(message.splitlines())}\n{traceback}"


def read_error(text: str) -> TaskError:
    path, _, rest = str(text).partition(": ")
    _, _, traceback = rest.partition("\n")
    return TaskError(exception_class_path=path, traceback=traceback or rest)


def _is_lease(lock: datetime, content: Package) -> bool:
    if lock.microsecond or lock == content.get("run_after"):
        return False
    return lock > database_now(queue_table().using)


def prune(using: str, age: timedelta, limit: int, *, dry_run: bool = False) -> int:
    """Delete results of tasks that ended longer ago than `age`, at most `limit`, the oldest first. Returns how many.

    Ids of tasks are UUIDv7, so that the primary key leads to the oldest. What django-q2's `async_task` left has
    random ids, and stays: see its own `save`.
    """
    before = database_now(using) - age
    old = f"{int(before.timestamp() * 1000):012x}"
    what = "count(*)" if dry_run else "id"
    rows = f"SELECT {what} FROM django_q_task WHERE id < %s AND stopped < %s"  # noqa: S608 (constants)
    before_as_stored = connections[using].ops.adapt_datetimefield_value(before)
    with connections[using].cursor() as cursor:
        if dry_run:
            cursor.execute(rows, [old, before_as_stored])
            count: int = cursor.fetchone()[0]
            return count
        cursor.execute(
            f"DELETE FROM django_q_task WHERE id IN ({rows} ORDER BY id LIMIT %s)",  # noqa: S608
            [old, before_as_stored, limit],
        )
        return int(cursor.rowcount)
