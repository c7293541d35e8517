"""Enqueue inside a transaction, whatever the backend can do.

Note [Enqueue in the transaction]: a row and the task that works on it must both exist or neither. A backend
whose queue lives in the same database says so with `enqueues_in_transaction`: its entry is written, committed
and rolled back together with the row. With any other backend (a broker across the network) the task is
published after the commit; if that fails the row is safe, and the sweep finds it and publishes again.

Note [What runs here is tried again here]: a task that enqueues its own next try does so where it runs, as far as
that backend can wait for a time. So a machine needs the workers of one backend only.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import partial
from typing import Any

from django.db import transaction
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, Task, TaskResult, task_backends

Enqueue = Callable[..., TaskResult]

# The alias of the backend whose worker this is. Note [What runs here is tried again here]
running_on: ContextVar[str] = ContextVar("running_on", default=DEFAULT_TASK_BACKEND_ALIAS)


def enqueue_with_row(task: Task, *args: Any, enqueue: Enqueue | None = None) -> str:
    """Enqueue once the surrounding transaction commits. Returns the task's id, or "" if it has none yet.

    `enqueue(task, *args)` is how: the task's own `enqueue` unless the caller has a better way, such as a
    request's `background_tasks.add_task`.
    """
    enqueue = enqueue or Task.enqueue
    if getattr(task.get_backend(), "enqueues_in_transaction", False):
        return enqueue(task, *args).id
    transaction.on_commit(partial(enqueue, task, *args), robust=True)
    return ""


def enqueue_many(calls: Iterable[tuple[Task, list[Any]]]) -> list[str]:
    """Enqueue many calls of tasks of one backend, in one statement where the backend can. Returns their ids."""
    calls = list(calls)
    if not calls:
        return []
    backend: Any = calls[0][0].get_backend()
    if hasattr(backend, "enqueue_many"):
        return [result.id for result in backend.enqueue_many([(task, args, {}) for task, args in calls])]
    return [enqueue_with_row(task, *args) for task, args in calls]


def missing(task_ids: Iterable[str]) -> set[str]:
    """Those of `task_ids` that no backend knows to be waiting or running any more."""
    gone = set(task_ids)
    for backend in task_backends.all():
        if gone and hasattr(backend, "missing"):
            gone &= backend.missing(gone)
    return gone
