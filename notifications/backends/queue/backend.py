"""`QueueBackend`: Django's task framework on the database queue.

    TASKS = {"default": {"BACKEND": "notifications.backends.queue.QueueBackend", "QUEUES": ["default"]}}

A task is enqueued by one INSERT in the caller's transaction: it is there if and only if the transaction
commits. `queue_name` is the name of the cluster that runs it. Nothing here retries: a task runs once, and
what it came to is a row of django-q2's.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.tasks import DEFAULT_TASK_QUEUE_NAME, Task, TaskResult, task_backends
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.tasks.signals import task_enqueued

from ... import health
from ...clock import database_now
from ..fallback import check_fallback
from . import broker, package, results, schedules
from .checks import check_queue
from .entries import NewEntry, key_for

Call = tuple[Task, Sequence[Any], Mapping[str, Any]]
LISTEN_EVERY = 5.0  # seconds between two looks whether a cluster lives, where a fallback is configured


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls that are ready to be written: an entry for each, and what Django knows of it."""

    results: list[TaskResult]
    entries: list[NewEntry]

    def number(self, pks: Iterable[int]) -> None:
        """Written, under these keys."""
        for result, pk in zip(self.results, pks, strict=True):
            object.__setattr__(result, "id", results.result_id(result.id, pk))  # as Django itself does

    def announce(self) -> None:
        for result in self.results:
            task_enqueued.send(QueueBackend, task_result=result)


class QueueBackend(BaseTaskBackend):
    """Runs tasks in `manage.py qcluster`, from the same database as the rest of the application."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True
    # What enqueues here takes part in the caller's transaction; there is nothing to do after the commit.
    enqueues_in_transaction = True

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Raise InvalidTask where no worker could find the task again, TypeError for what is not JSON."""
        return self.enqueue_many([(task, args, kwargs)])[0]

    def enqueue_many(self, calls: Iterable[Call]) -> list[TaskResult]:
        """Enqueue all calls by one statement, in the caller's transaction. Results come in the same order."""
        batch = self.prepare(calls)
        if batch.entries:
            batch.number(broker.insert(batch.entries))
            batch.announce()
        return batch.results

    def prepare(self, calls: Iterable[Call]) -> "Batch":
        """What `enqueue_many` does before it writes. Raises what `enqueue` raises."""
        enqueued: list[TaskResult] = []
        entries: list[NewEntry] = []
        for task, args, kwargs in calls:
            self.validate_task(task)
            refuse_unreachable(task)
            result = results.ready(task, package.new_id(), args, kwargs, self.alias)
            payload = package.pack(task, result.id, result.args, result.kwargs)
            entries.append(NewEntry(key_for(task.queue_name, task.priority), payload, task.run_after))
            enqueued.append(result)
        return Batch(enqueued, entries)

    def get_result(self, result_id: str) -> TaskResult:
        """The task as it stands: waiting, scheduled, running, finished. One or two queries.

        `started_at` and `last_attempted_at` are None until it has finished; then `task.priority` and
        `task.run_after` are the defaults.
        """
        result = self._find(result_id)
        if result is None:
            raise TaskResultDoesNotExist(result_id)
        return result

    def missing(self, result_ids: Iterable[str]) -> set[str]:
        """Those of `result_ids` whose entry no longer exists: finished, or lost. One query."""
        pks = {result_id: results.entry_pk(result_id) for result_id in result_ids}
        there = broker.queue_table().existing([pk for pk in pks.values() if pk is not None]) if pks else set()
        return {result_id for result_id, pk in pks.items() if pk not in there}

    def waiting_since(self, queue_name: str = DEFAULT_TASK_QUEUE_NAME) -> datetime | None:
        """Since when the longest waiting due entry waits for a worker. None: nobody waits."""
        table = broker.queue_table()
        waiting = [table.waiting_since(key) for key in table.keys(queue_name)]
        return min((moment for moment in waiting if moment is not None), default=None)

    def heartbeats(self) -> list[tuple[str, datetime]]:
        """The clusters that have been heard of, and when, by the database's clock."""
        rows = apps.get_model("notifications", "Heartbeat").objects.exclude(cluster__contains="@")
        return list(rows.values_list("cluster", "seen_at"))

    def broken_schedules(self) -> list[tuple[str, str]]:
        """django-q2's schedules that keep all others from being enqueued once they are due, and why."""
        return list(schedules.broken())

    def is_down(self) -> bool:
        """Whether no cluster has been heard of lately. Asks the database at most every LISTEN_EVERY seconds."""
        return _silence(int(time.monotonic() / LISTEN_EVERY), self.alias)

    def prune(self, age: timedelta, limit: int, *, dry_run: bool = False) -> int:
        """Delete at most `limit` results older than `age`, the oldest first. Returns how many; `dry_run`: of all."""
        return results.prune(broker.queue_table().using, age, limit, dry_run=dry_run)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return [*check_queue(self.alias, self.queues), *check_fallback(self.alias)]

    def _find(self, result_id: str) -> TaskResult | None:
        task_id, pk = results.task_id(result_id), results.entry_pk(result_id)
        if pk is not None:
            for _, payload, lock in broker.queue_table().read([pk]):
                try:
                    content = package.unpack(payload)
                except package.UnreadablePackage:
                    continue
                if content["id"] == task_id:
                    return results.from_entry(result_id, content, lock, self.alias)
        return results.from_row(result_id, self.alias)


@lru_cache(maxsize=8)
def _silence(moment: int, alias: str) -> bool:
    """Asked once for each moment, and for the process: not even by each of its threads."""
    backend: Any = task_backends[alias]
    return not health.is_heard((seen_at for _, seen_at in backend.heartbeats()), database_now())


def refuse_unreachable(task: Task) -> None:
    """A worker finds the task by the path of its function: what lies there must be the task."""
    try:
        found = package.locate(f"{task.module_path}.call").task
    except package.UnknownFunction:
        found = None
    if found is None or found.func is not task.func:
        raise InvalidTask(
            f"{task.module_path} is not this task: no worker could find it. Decorate the function with @task."
        )
