"""Runs the entries of a job inside a worker and records what they came to.

An entry and its result are one transaction: a finished task is both recorded and gone, or neither.
"""

import logging
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from traceback import TracebackException
from typing import Any

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    close_old_connections,
    connections,
)
from django.dispatch import Signal
from django.tasks import TaskContext, TaskResult, TaskResultStatus
from django.tasks.signals import task_finished, task_started
from django.utils import timezone
from django.utils.json import normalize_json
from django_q.conf import Conf, error_reporter
from django_q.signals import post_execute, post_execute_in_worker, pre_execute

from ...background.calls import outcome
from ..outcomes import change
from . import results
from .broker import OrmBroker, queue_table
from .calls import Call, plan
from .package import ENDED, Package
from .processes import Job, Lock, Slot
from .records import Row, encode, instead_of, row, storable

logger = logging.getLogger(__name__)
task_logger = logging.getLogger("django.tasks")

ACKNOWLEDGE_AFTER = 0.02  # seconds a finished task may wait for others to be acknowledged with it
# django-q2's own ways to go on after a task; its own code does them.
CONTINUED = frozenset({"hook", "chain", "cached", "iter_count"})

type Done = tuple[int, Row | None]  # an entry, and its result where it keeps one


class Execution:
    """Makes the calls of one job. `unbegun` is what it did not come to."""

    def __init__(self, broker: OrmBroker, slot: Slot, lock: Lock | None = None) -> None:
        self.broker = broker
        self.slot = slot
        self.lock = lock or nullcontext()  # the cluster's; None where nobody else works
        self.made = 0
        self.seconds = 0.0  # spent in calls, without what it took to acknowledge them
        self._done: list[Done] = []

    def run(self, job: Job) -> tuple[list[int], dict[int, str]]:
        """Give the entries that were not begun, and those this version cannot run."""
        calls, unknown = plan(job)
        close_old_connections()
        since = time.monotonic()
        for number, call in enumerate(calls):
            if self.slot.must_stop or time.monotonic() > job.start_before:
                self.acknowledge()
                return [pk for late in calls[number:] for pk in late.pks], unknown
            self.slot.start(call.index, len(call.pks), call.limit)
            begun = time.monotonic()
            self._make(call)
            self.seconds += time.monotonic() - begun
            self.slot.end()
            if time.monotonic() - since > ACKNOWLEDGE_AFTER:
                self.acknowledge()
                since = time.monotonic()
        self.acknowledge()
        return [], unknown

    def acknowledge(self) -> None:
        """Record and delete what has finished. Waits out a database that is away: the work is done."""
        parts, self._done = [self._done] if self._done else [], []
        pause = 0.05
        while parts:
            part = parts.pop()
            try:
                queue_table().finish([pk for pk, _ in part], [row for _, row in part if row is not None])
            except (DataError, IntegrityError, ValueError) as error:
                # It refuses a row (sqlite3 by a ValueError what is no Unicode). It is looked for by halves, and its
                # entry must go, or it would run for ever.
                half = len(part) // 2
                parts += [part[half:], part[:half]] if half else [[self._without(*part[0], error)]]
            except (DatabaseError, InterfaceError) as error:
                if pause == 0.05:
                    logger.warning("acknowledge=waiting entries=%d error=%s", len(part), error)
                connections[queue_table().using].close()
                time.sleep(pause)
                pause = min(pause * 2, 1.0)
                parts.append(part)

    def _without(self, pk: int, refused: Row | None, error: Exception) -> Done:
        if refused is None:
            raise error
        row = instead_of(refused, error)
        logger.error("id=%s result=%s", refused[0], "lost" if row is None else "refused", exc_info=error)
        return pk, row

    def _make(self, call: Call) -> None:
        self.made += 1
        call.started = timezone.now()
        first = call.packages[0]
        if error := first.pop(ENDED, None):  # see Note [Ended]
            call.started = first["started"]
            self._settle(call, success=False, value=error, stopped=first["stopped"])
            return
        arguments = first["args"]
        if len(call.packages) > 1:
            arguments = ([item for content in call.packages for item in content["args"][0]],)
        try:
            self._tell_start(call)
            if call.target.task is not None and call.target.task.takes_context:
                arguments = (TaskContext(task_result=self._results(call)[0]), *arguments)
            value = call.target.call(*arguments, **first["kwargs"])
            value = outcome(value) if call.target.task is None else normalize_json(value)
        except BaseException as error:  # noqa: BLE001  (SystemExit of a task must not end the worker)
            self._settle(call, success=False, value=_describe(error))
            if error_reporter:
                error_reporter.report()
        else:
            self._settle(call, success=True, value=value)
        # A transaction that it left open would take with it what is recorded next, and what the next call writes.
        for connection in connections.all(initialized_only=True):
            connection.close_if_unusable_or_obsolete()

    def _settle(self, call: Call, *, success: bool, value: Any, stopped: datetime | None = None) -> None:
        stopped, encoded = stopped or timezone.now(), encode(value)
        signals = [signal for signal in (post_execute_in_worker, post_execute) if signal.receivers]
        for pk, content in zip(call.pks, call.packages, strict=True):
            recorded: Row | None = None
            content.update(
                result=value,
                success=success,
                started=call.started,
                stopped=stopped,
                cluster=self.broker.list_key,
            )
            if not CONTINUED.isdisjoint(content) and any(content.get(option) for option in CONTINUED):
                self._save_as_django_q_does(content)
            elif not success or content.get("save", Conf.SAVE_LIMIT >= 0):
                recorded = row(content, call.target.path, encoded)
            self._done.append((pk, recorded))
            for signal in signals:
                # The work is done: a receiver's error must not have it done again.
                signal.send_robust(sender="django_q", func=call.target.call, task=content)
        self._tell_end(call, success=success, value=value, stopped=stopped)

    def _save_as_django_q_does(self, content: Package) -> None:
        from django_q.monitor import save_cached, save_task

        storable(content)
        try:
            if content.get("cached"):
                # It reads a group's list from the cache and writes it back: a task for one process of the cluster.
                with self.lock:
                    save_cached(content, self.broker)
            else:
                save_task(content, self.broker)
        except SystemExit:  # of a hook, which comes last. Its other errors are caught there
            logger.exception("task=%s id=%s hook=left", content.get("name"), content["id"])

    def _results(self, call: Call) -> Sequence[TaskResult]:
        if not call.task_results:
            for pk, content in zip(call.pks, call.packages, strict=True):
                result = results.of_package(content, results.result_id(content["id"], pk), "default")
                if result is None:
                    continue
                begun = call.started
                change(result, started_at=begun, last_attempted_at=begun, status=TaskResultStatus.RUNNING)
                result.worker_ids.extend([self.broker.list_key] * (content.get("crashes", 0) + 1))
                call.task_results.append(result)
        return call.task_results

    def _tell_start(self, call: Call) -> None:
        if pre_execute.receivers:
            for content in call.packages:
                pre_execute.send(sender="django_q", func=call.target.call, task=content)
        if call.target.task is not None and _is_heard(task_started):
            for result in self._results(call):
                task_started.send(_sender(), task_result=result)

    def _tell_end(self, call: Call, *, success: bool, value: Any, stopped: datetime) -> None:
        if call.target.task is None:
            if not success:
                name, task_id = call.packages[0].get("name"), call.packages[0]["id"]
                logger.error(
                    "task=%s id=%s outcome=failed", name, task_id, exc_info=sys.exc_info()[0] is not None
                )
            return
        if success and not _is_heard(task_finished):
            return
        for result in self._results(call):
            status = TaskResultStatus.SUCCESSFUL if success else TaskResultStatus.FAILED
            change(result, finished_at=stopped, status=status)
            if success:
                change(result, _return_value=value)
            else:
                result.errors.append(results.read_error(value))
            task_finished.send_robust(_sender(), task_result=result)


def _describe(error: BaseException) -> str:
    path = f"{type(error).__module__}.{type(error).__qualname__}"
    # It has a text though `str(error)` should raise.
    told = TracebackException.from_exception(error, compact=True)
    return results.write_error(path, str(told), "".join(told.format()))


def _is_heard(signal: Signal) -> bool:
    """Whether anybody but Django's own log line listens, or that line would be written."""
    return len(signal.receivers) > 1 or task_logger.isEnabledFor(logging.INFO)


def _sender() -> type:
    from .backend import QueueBackend

    return QueueBackend
