"""A Django task as the pool sees it: runs it, and records what became of it."""

import logging
import os
import threading
from collections.abc import Hashable, Sequence
from typing import Any

from django.tasks import TaskContext, TaskResult, TaskResultStatus
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.signals import task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json

from notifications.background.tasks import BackgroundTask

from ..mergeable import is_mergeable
from ..outcomes import add_error, change
from .results import results

logger = logging.getLogger(__name__)


class ThreadTask(BackgroundTask):
    """One enqueued task. `overflow_to`: the alias of the backend that takes it when the pool cannot."""

    def __init__(
        self, result: TaskResult, sender: type[BaseTaskBackend], overflow_to: str | None, max_results: int
    ) -> None:
        self.result = result
        self.sender = sender
        self.overflow_to = overflow_to
        self.max_results = max_results
        self.merge_key = _merge_key(result)
        self._prepare(result.id, result.task.module_path)

    def _call(self) -> None:
        self.started()
        self.perform()

    def started(self) -> None:
        now = timezone.now()
        self.result.worker_ids.append(f"{os.getpid()}:{threading.current_thread().name}")
        change(self.result, started_at=now, last_attempted_at=now, status=TaskResultStatus.RUNNING)
        task_started.send_robust(self.sender, task_result=self.result)

    def perform(self) -> None:
        task, result = self.result.task, self.result
        context: tuple[Any, ...] = (TaskContext(task_result=result),) if task.takes_context else ()
        try:
            value = normalize_json(task.call(*context, *result.args, **result.kwargs))
        except BaseException as error:  # noqa: BLE001  SystemExit too: the result must say FAILED
            self.failed(error)
        else:
            self.succeeded(value)

    def succeeded(self, value: Any) -> None:
        change(self.result, _return_value=value)
        self._finish(TaskResultStatus.SUCCESSFUL)

    def failed(self, error: BaseException) -> None:
        """Inside the `except` block Django's receiver logs the traceback: one ERROR record."""
        add_error(self.result, error)
        self._finish(TaskResultStatus.FAILED)

    def _finish(self, status: TaskResultStatus) -> None:
        change(self.result, finished_at=timezone.now(), status=status)
        results.keep(self, self.max_results)
        task_finished.send_robust(self.sender, task_result=self.result)

    def merged(self, others: Sequence[BackgroundTask]) -> BackgroundTask:
        return MergedTask([self, *others])

    def divert(self, reason: str) -> bool:
        """Enqueue it on OVERFLOW_TO; its result follows the new one from now on."""
        alias = self.overflow_to
        if alias is None:
            return False
        task = self.result.task
        try:
            moved = task.using(backend=alias).enqueue(*self.result.args, **self.result.kwargs)
        except Exception:  # any backend's any error: the task then goes the way of a plain function
            logger.exception("Task not moved: name=%s id=%s backend=%s", self.name, self.id, alias)
            return False
        logger.warning(
            "Task moved: name=%s id=%s reason=%s backend=%s new_id=%s",
            self.name,
            self.id,
            reason,
            alias,
            moved.id,
        )
        results.keep(self, self.max_results, moved)
        return True

    def abandon(self, reason: str) -> None:
        super().abandon(reason)
        self.failed(RuntimeError(f"not run: {reason}"))


class MergedTask(BackgroundTask):
    """Waiting calls of one mergeable task, run as one. Each keeps its own result.

    The return value of each is that of the joined call. If the joined call fails, each is called by itself,
    so that one bad call does not fail the others: a mergeable task may run twice.
    """

    def __init__(self, tasks: Sequence[Any]) -> None:
        self.tasks: Sequence[ThreadTask] = tasks
        first = self.tasks[0]
        self.id = first.id
        self.name = first.name
        self._context = first._context  # noqa: SLF001

    @property
    def members(self) -> Sequence[BackgroundTask]:
        return self.tasks

    def _call(self) -> None:
        for task in self.tasks:
            task.started()
        joined = [item for task in self.tasks for item in task.result.args[0]]
        try:
            value = normalize_json(self.tasks[0].result.task.call(joined))
        except BaseException:  # noqa: BLE001  each of them will say so itself
            logger.info("Merged task failed, running its %s calls one by one: %s", len(self.tasks), self.name)
            for task in self.tasks:
                task.perform()
        else:
            for task in self.tasks:
                task.succeeded(value)


def _merge_key(result: TaskResult) -> Hashable:
    task, args = result.task, result.args
    joinable = is_mergeable(task.func) and not task.takes_context and not result.kwargs
    if joinable and len(args) == 1 and isinstance(args[0], list):
        return (result.backend, task)
    return None
