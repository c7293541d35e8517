"""Runs the entries of a job inside a worker and records what they came to.

An entry and its result are one transaction: a finished task is both recorded and gone, or neither.
"""

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from traceback import format_exception
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
from picklefield.fields import dbsafe_encode  # type: ignore[import-untyped]

from . import package, results
from .broker import OrmBroker, queue_table
from .package import Package, Target
from .processes import Job, Slot

logger = logging.getLogger(__name__)
task_logger = logging.getLogger("django.tasks")

MOST_LIMITS = 4  # time limits that a merged call may take
ACKNOWLEDGE_AFTER = 0.02  # seconds a finished task may wait for others to be acknowledged with it
# django-q2's own ways to go on after a task; its own code does them.
CONTINUED = frozenset({"hook", "chain", "cached", "iter_count"})


@dataclass(slots=True)
class Call:
    """One call to make: of one entry, or of many that a mergeable task takes as one."""

    target: Target
    packages: list[Package]
    pks: list[int]
    index: int  # of its first entry in the job
    started: datetime | None = None
    task_results: list[TaskResult] = field(default_factory=list)

    @property
    def limit(self) -> float | None:
        """Seconds. Each entry brings its own, up to a bound: a stuck call must not hold its worker for days."""
        limits = [content.get("timeout", Conf.TIMEOUT) for content in self.packages]
        if not all(limit and limit > 0 for limit in limits):
            return None
        return float(min(sum(limits), MOST_LIMITS * max(limits)))


def plan(job: Job) -> tuple[list[Call], dict[int, str]]:
    """The calls of a job in order, merged where they may be, and what cannot be run here and why."""
    calls: list[Call] = []
    unknown: dict[int, str] = {}
    for index, (pk, payload) in enumerate(job.entries):
        try:
            content = package.unpack(payload)
            target = package.target(content)
        except (package.UnreadablePackage, package.UnknownFunction) as error:
            unknown[pk] = str(error)
            continue
        if calls and _may_join(calls[-1], target, content, index):
            calls[-1].packages.append(content)
            calls[-1].pks.append(pk)
        else:
            calls.append(Call(target, [content], [pk], index))
    return calls, unknown


def _may_join(call: Call, target: Target, content: Package, index: int) -> bool:
    return (
        target.mergeable
        and call.target.path == target.path
        and call.index + len(call.pks) == index
        and _is_one_list(content)
        and _is_one_list(call.packages[-1])
    )


def _is_one_list(content: Package) -> bool:
    """One that was running when a worker died runs alone from then on, so that it harms nobody else."""
    args = content["args"]
    return (
        len(args) == 1 and isinstance(args[0], list) and not content["kwargs"] and not content.get("crashes")
    )


class Execution:
    """Makes the calls of one job. `unbegun` is what it did not come to."""

    def __init__(self, broker: OrmBroker, slot: Slot) -> None:
        self.broker = broker
        self.slot = slot
        self.made = 0
        self.seconds = 0.0  # spent in calls, without what it took to acknowledge them
        self._pks: list[int] = []
        self._rows: list[tuple[Any, ...]] = []

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
        pks, rows, self._pks, self._rows = self._pks, self._rows, [], []
        pause = 0.05
        while pks:
            try:
                queue_table().finish(pks, rows)
            except (DataError, IntegrityError):
                # The database refuses the rows themselves: without them the entries must still go, or
                # they would run for ever.
                logger.exception("results=lost entries=%d", len(pks))
                rows = []
            except (DatabaseError, InterfaceError) as error:
                if pause == 0.05:
                    logger.warning("acknowledge=waiting entries=%d error=%s", len(pks), error)
                connections[queue_table().using].close()
                time.sleep(pause)
                pause = min(pause * 2, 1.0)
            else:
                return

    def _make(self, call: Call) -> None:
        self.made += 1
        call.started = timezone.now()
        arguments = call.packages[0]["args"]
        if len(call.packages) > 1:
            arguments = ([item for content in call.packages for item in content["args"][0]],)
        try:
            self._tell_start(call)
            if call.target.task is not None and call.target.task.takes_context:
                arguments = (TaskContext(task_result=self._results(call)[0]), *arguments)
            value = call.target.call(*arguments, **call.packages[0]["kwargs"])
            if call.target.task is not None:
                value = normalize_json(value)
        except BaseException as error:  # noqa: BLE001  (SystemExit of a task must not end the worker)
            self._settle(call, success=False, value=_describe(error))
            if error_reporter:
                error_reporter.report()
            for connection in connections.all(initialized_only=True):
                connection.close_if_unusable_or_obsolete()
        else:
            self._settle(call, success=True, value=value)

    def _settle(self, call: Call, *, success: bool, value: Any) -> None:
        stopped, encoded = timezone.now(), encode(value)
        signals = [signal for signal in (post_execute_in_worker, post_execute) if signal.receivers]
        for content in call.packages:
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
                self._rows.append(row(content, call.target.path, encoded))
            for signal in signals:
                signal.send(sender="django_q", func=call.target.call, task=content)
        self._pks += call.pks
        self._tell_end(call, success=success, value=value, stopped=stopped)

    def _save_as_django_q_does(self, content: Package) -> None:
        from django_q.monitor import save_cached, save_task

        save = save_cached if content.get("cached") else save_task
        save(content, self.broker)

    def _results(self, call: Call) -> Sequence[TaskResult]:
        if not call.task_results:
            for pk, content in zip(call.pks, call.packages, strict=True):
                result = results.of_package(content, results.result_id(content["id"], pk), "default")
                if result is None:
                    continue
                for name in ("started_at", "last_attempted_at"):
                    object.__setattr__(result, name, call.started)
                object.__setattr__(result, "status", TaskResultStatus.RUNNING)
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
            object.__setattr__(result, "finished_at", stopped)
            if success:
                object.__setattr__(result, "_return_value", value)
            else:
                result.errors.append(results.read_error(value))
            status = TaskResultStatus.SUCCESSFUL if success else TaskResultStatus.FAILED
            object.__setattr__(result, "status", status)
            task_finished.send(_sender(), task_result=result)


def row(content: Package, path: str, encoded: str | None) -> tuple[Any, ...]:
    """django-q2's row of a finished task with its `encode`d result, in the order of `sql.TASK_COLUMNS`."""
    group = content.get("group")
    return (
        content["id"],
        str(content.get("name") or path)[:100],
        path[:256],
        None,
        encode(content["args"]),
        encode(content["kwargs"]) if content["kwargs"] else NO_KWARGS,
        encoded,
        str(group)[:100] if group is not None else None,
        content["cluster"],
        content["started"],
        content["stopped"],
        content["success"],
        content.get("crashes", 0) + 1,
    )


def encode(value: Any) -> str | None:
    """As django-q2's PickledObjectField writes it."""
    if value is None:
        return None
    try:
        return str(dbsafe_encode(value, pickle_protocol=-1, copy=False))
    except Exception:  # noqa: BLE001  (any object's own __reduce__ runs; the task itself has succeeded)
        return str(dbsafe_encode(repr(value), pickle_protocol=-1, copy=False))


NO_KWARGS = encode({})


def _describe(error: BaseException) -> str:
    path = f"{type(error).__module__}.{type(error).__qualname__}"
    return results.write_error(path, str(error), "".join(format_exception(error)))


def _is_heard(signal: Signal) -> bool:
    """Whether anybody but Django's own log line listens, or that line would be written."""
    return len(signal.receivers) > 1 or task_logger.isEnabledFor(logging.INFO)


def _sender() -> type:
    from .backend import QueueBackend

    return QueueBackend
