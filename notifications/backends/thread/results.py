"""What became of the tasks of this process. The one place of this backend with state."""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Protocol
from weakref import WeakValueDictionary

from django.tasks import TaskResult, task_backends
from django.tasks.base import TASK_REFRESH_ATTRS
from django.tasks.exceptions import TaskResultDoesNotExist

from ..outcomes import change

FIELDS = [field.name for field in fields(TaskResult)]


class Tracked(Protocol):
    id: str
    result: TaskResult


def snapshot(result: TaskResult) -> TaskResult:
    """A copy that no thread changes any more. Field by field: `copy` goes through what pickling needs."""
    taken: TaskResult = object.__new__(type(result))
    change(taken, **{name: getattr(result, name) for name in FIELDS})
    change(taken, errors=list(result.errors), worker_ids=list(result.worker_ids))
    return taken


@dataclass(frozen=True, slots=True)
class Kept:
    result: TaskResult
    moved: TaskResult | None


class Results:
    """What `get_result` can answer: tasks that still wait or run, and the last finished ones of each alias.

    A task that was rolled back is held by nobody: it disappears here by itself.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all; after a fork the parent's tasks are not ours, and its lock may be held for ever."""
        self._lock = threading.Lock()
        self._unfinished: WeakValueDictionary[str, Tracked] = WeakValueDictionary()
        self._kept: dict[str, OrderedDict[str, Kept]] = {}

    def add(self, task: Tracked) -> None:
        with self._lock:
            self._unfinished[task.id] = task

    def keep(self, task: Tracked, limit: int, moved: TaskResult | None = None) -> None:
        with self._lock:
            kept = self._kept.setdefault(task.result.backend, OrderedDict())
            kept[task.id] = Kept(task.result, moved)
            while len(kept) > limit:
                kept.popitem(last=False)
            self._unfinished.pop(task.id, None)

    def get(self, result_id: str) -> TaskResult:
        with self._lock:
            task = self._unfinished.get(result_id)
            kept = next((kept[result_id] for kept in self._kept.values() if result_id in kept), None)
        if task is not None:
            return snapshot(task.result)
        if kept is None:
            raise TaskResultDoesNotExist(result_id)
        result = snapshot(kept.result)
        if kept.moved is not None and task_backends[kept.moved.backend].supports_get_result:
            kept.moved.refresh()
            change(result, **{name: getattr(kept.moved, name) for name in TASK_REFRESH_ATTRS})
        return result


results = Results()
os.register_at_fork(after_in_child=results.clear)
