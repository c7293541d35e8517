"""The backend as Django's task framework sees it. It keeps no state: Django makes one in every thread."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.core import checks
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, TaskResult, TaskResultStatus, task_backends
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.base import Task
from django.tasks.signals import task_enqueued
from django.utils import timezone
from uuid_utils import uuid7

from notifications.background import pool
from notifications.background.tasks import BackgroundTasks, collector
from notifications.background.transactions import when_committed

from ..fallback import check_fallback
from .results import results, snapshot
from .task import ThreadTask


class ThreadBackend(BaseTaskBackend):
    """OPTIONS: `MAX_RESULTS` finished results kept (1000); `OVERFLOW_TO`, the alias that gets what has been accepted
    and the pool cannot take, or None; `FALLBACK`, the alias that accepts while the pool is full."""

    supports_defer = False
    supports_async_task = True
    supports_priority = False
    # A task counts if and only if the caller's transaction commits.
    enqueues_in_transaction = True
    # Django means results "from any thread/process". `get_result` answers in this process only.
    supports_get_result = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.max_results: int = self.options.get("MAX_RESULTS", 1000)
        self.overflow_to: str | None = self.options.get("OVERFLOW_TO", DEFAULT_TASK_BACKEND_ALIAS)

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: dict[str, Any]) -> TaskResult:
        self.validate_task(task)
        result: TaskResult = TaskResult(
            task=task,
            id=str(uuid7()),
            status=TaskResultStatus.READY,
            enqueued_at=timezone.now(),
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=list(args),
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        thread_task = ThreadTask(result, type(self), self.overflow_to, self.max_results)
        results.add(thread_task)
        answer = snapshot(result)
        task_enqueued.send(type(self), task_result=answer)
        request = collector.get()
        if request is not None:
            request.collect(thread_task)
        else:
            when_committed(lambda: BackgroundTasks([thread_task]).hand_to(pool.submit))
        return answer

    def get_result(self, result_id: str) -> TaskResult:
        return results.get(result_id)

    def is_down(self) -> bool:
        """Whether the pool is full, or the process stops."""
        existing = pool.existing_pool()
        return existing is not None and existing.refusal() is not None

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        return [*super().check(**kwargs), *self._check_options(), *check_fallback(self.alias)]

    def _check_options(self) -> Iterator[checks.CheckMessage]:
        for name in sorted(self.options.keys() - {"MAX_RESULTS", "OVERFLOW_TO", "FALLBACK"}):
            yield checks.Error(
                f"TASKS[{self.alias!r}]: OPTIONS has an unknown key: {name!r}.",
                hint="Known are MAX_RESULTS, OVERFLOW_TO and FALLBACK.",
                id="notifications.thread.E004",
            )
        if not isinstance(self.max_results, int) or self.max_results < 0:
            yield checks.Error(
                f"TASKS[{self.alias!r}]: MAX_RESULTS must be a whole number, 0 or more.",
                hint="It is how many finished results each process keeps.",
                id="notifications.thread.E001",
            )
        if self.overflow_to is None:
            return
        if self.overflow_to not in task_backends:
            yield checks.Error(
                f"TASKS[{self.alias!r}]: OVERFLOW_TO names {self.overflow_to!r}, which is not in TASKS.",
                hint="Name another backend, or None: tasks then go the way of plain functions.",
                id="notifications.thread.E002",
            )
        elif isinstance(task_backends[self.overflow_to], ThreadBackend):
            yield checks.Error(
                f"TASKS[{self.alias!r}]: OVERFLOW_TO {self.overflow_to!r} uses the same threads.",
                hint="Name a backend that keeps its tasks outside the process, or None.",
                id="notifications.thread.E003",
            )
