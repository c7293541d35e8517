"""Runs one message in a worker: any Django task, by its dotted path, inside the wrapper of all background work.

Note [A message that comes back]: a broker delivers again what was not acknowledged, so its worker died or was cut
off while it ran. It cannot be known whether the task killed it. It is counted in the message, put back in the
database and published again a little later; after MAX_CRASHES it is given up. A notification is not: its row
counts attempts by itself and is found by the sweep.

Note [What is no result of the task]: a cold shutdown, or SIGTERM to the whole group, raises SystemExit in the middle of
the task; and while the database is away every task that needs it fails, a whole backlog of them in a moment. Neither is
the task's own doing: the message is not acknowledged, as if the process had been killed.
"""

import contextvars
import logging
import os
import socket
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError
from django.tasks import TaskContext, TaskResultStatus
from django.tasks.signals import task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json

from notifications.background.unit import run_isolated

from ..enqueueing import running_on
from ..outcomes import add_error, change
from ..queue import package, results
from ..queue.package import Package
from . import outbox

logger = logging.getLogger(__name__)

MAX_CRASHES = 5
AGAIN_AFTER = timedelta(seconds=0.5)  # times the number of crashes
UNKNOWN_AFTER = timedelta(seconds=30)  # a worker of another version may know the task by then


def run(alias: str, content: Package, *, redelivered: bool) -> None:
    """Returns when the message may be acknowledged. Raises DatabaseError or SystemExit: it may not."""
    if redelivered:
        _came_back(alias, content)
        return
    try:
        target = package.target(content)
    except package.UnknownFunction as error:
        logger.warning("task=%s id=%s outcome=unknown error=%s", content["func"], content["id"], error)
        outbox.put_back(alias, content, UNKNOWN_AFTER)
        return
    execution = Execution(alias, content, target)
    run_isolated(execution)
    if execution.cut_off_by is not None:
        raise execution.cut_off_by


def _came_back(alias: str, content: Package) -> None:
    crashes = content.get("crashes", 0) + 1
    if crashes >= MAX_CRASHES:
        logger.error(
            "task=%s id=%s outcome=failed reason='ended its worker %d times'",
            content["name"],
            content["id"],
            crashes,
        )
        return
    outbox.put_back(alias, {**content, "crashes": crashes}, AGAIN_AFTER * crashes)
    logger.warning("task=%s id=%s outcome=again crashes=%d", content["name"], content["id"], crashes)


class Execution:
    """One call of a Django task: a unit of background work."""

    def __init__(self, alias: str, content: Package, target: package.Target) -> None:
        self.alias = alias
        self.content = content
        self.target = target
        self.id: str = content.get("result_id") or content["id"]  # as whoever enqueued it has it
        self.name: str = content["name"]
        self.cut_off_by: BaseException | None = None  # Note [What is no result of the task]

    def run(self) -> None:
        contextvars.copy_context().run(self._call)

    def _call(self) -> None:
        from .backend import CeleryBackend

        running_on.set(self.alias)
        result = results.of_package(self.content, self.id, self.alias)
        if result is None:
            raise TypeError(f"{self.target.path} is no task")
        now = timezone.now()
        change(result, started_at=now, last_attempted_at=now, status=TaskResultStatus.RUNNING)
        result.worker_ids.extend(
            [f"{socket.gethostname()}:{os.getpid()}"] * (self.content.get("crashes", 0) + 1)
        )
        task_started.send_robust(CeleryBackend, task_result=result)
        context: tuple[Any, ...] = (TaskContext(task_result=result),) if result.task.takes_context else ()
        try:
            value = normalize_json(self.target.call(*context, *result.args, **result.kwargs))
        except BaseException as error:  # noqa: BLE001  SystemExit too: no task may end its worker
            if _ends_process(error):
                self.cut_off_by = SystemExit(1)
            elif isinstance(error, OperationalError | InterfaceError) and outbox.is_away():
                self.cut_off_by = error
            if self.cut_off_by is not None:
                logger.warning("task=%s id=%s outcome=cut_off", self.name, self.id)
                return
            add_error(result, error)
            change(result, finished_at=timezone.now(), status=TaskResultStatus.FAILED)
            task_finished.send_robust(CeleryBackend, task_result=result)  # Django logs it, with the traceback
        else:
            change(
                result, _return_value=value, finished_at=timezone.now(), status=TaskResultStatus.SUCCESSFUL
            )
            task_finished.send_robust(CeleryBackend, task_result=result)


def _ends_process(error: BaseException) -> bool:
    """Whether somebody has told this process to end, so that whatever comes out of a task is no result of its own."""
    from billiard.common import terminate_handler_fired
    from celery.exceptions import WorkerShutdown, WorkerTerminate

    return terminate_handler_fired() or isinstance(error, WorkerShutdown | WorkerTerminate)
