"""What to run: `BackgroundTask`, and `BackgroundTasks`, the ordered list of them that a request collects.

Both are plain objects. They run where somebody calls `run()`; handing them to a pool is the pool's business.
"""

import contextvars
import inspect
import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, overload

from asgiref.sync import sync_to_async
from django.tasks import Task, TaskResult
from uuid_utils import uuid7

from .calls import is_async, name_of, outcome, require_call
from .transactions import commit_for_a_testcase, when_committed
from .unit import run_isolated

logger = logging.getLogger(__name__)

MAX_BATCH = 500  # calls of one mergeable task that run as one


class Collector(Protocol):
    def collect(self, task: "BackgroundTask") -> None: ...


# Where an in-process backend puts what is enqueued now: the request's tasks. None: there is no request.
collector: ContextVar[Collector | None] = ContextVar("collector", default=None)


@contextmanager
def no_request() -> Iterator[None]:
    """What is enqueued in this block belongs to no request, whoever runs it."""
    token = collector.set(None)
    try:
        yield
    finally:
        collector.reset(token)


class BackgroundTask:
    """A function and its arguments, to be called later. Also the handle: it has `id` and `name`.

    Raises `TypeError` at once if the call could not succeed. Arguments are kept by reference; the context
    variables are those of the moment the task is made.
    """

    # Tasks with the same key that wait at the same time may run as one (see `merged`).
    merge_key: Hashable = None

    def __init__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        require_call(func, args, kwargs)
        self.func = func
        self.args = args
        self.kwargs = kwargs
        self.is_async = is_async(func)
        self._prepare(str(uuid7()), name_of(func))

    def _prepare(self, id: str, name: str) -> None:
        self.id = id
        self.name = name
        self._context = contextvars.copy_context()
        self.counts = False
        when_committed(self._count)  # Note [A task counts when its transaction commits]

    def _count(self) -> None:
        self.counts = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.id}>"

    @property
    def members(self) -> Sequence["BackgroundTask"]:
        """The tasks that run when this one runs: itself, or all that were merged into it."""
        return (self,)

    def run(self) -> Any:
        """Call the function here and now. A coroutine runs to its end on an event loop of its own."""
        return self._context.copy().run(self._call)

    def _call(self) -> Any:
        result = outcome(self.func(*self.args, **self.kwargs))
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise TypeError(f"{self.name} returned a generator: none of its body has run.")
        return result

    async def __call__(self) -> None:
        """Run it from async code, off the event loop."""
        await sync_to_async(self.run, thread_sensitive=False)()

    def merged(self, others: Sequence["BackgroundTask"]) -> "BackgroundTask":
        """One task that does what this one and `others` do. Only asked of tasks that share a `merge_key`."""
        raise NotImplementedError

    def divert(self, reason: str) -> bool:
        """The pool cannot take it: True if it was handed on to another place that will run it."""
        return False

    def abandon(self, reason: str) -> None:
        """It will not run in this process, and nowhere else. Never in silence."""
        logger.error("Background task given up: name=%s id=%s reason=%s", self.name, self.id, reason)


class BackgroundTasks(BackgroundTask):
    """Tasks that run one by one, in the order they were added. One that fails does not stop the next.

    A task may add tasks while it runs: they run in the same pass. What is added after the pass has ended goes
    to the pool by itself.
    """

    def __init__(self, tasks: Sequence[BackgroundTask] | None = None) -> None:
        self.tasks: list[BackgroundTask] = list(tasks or ())
        self.is_async = False
        self.counts = True
        self.id = str(uuid7())
        self.name = name_of(type(self))
        self._next = 0
        self._lock = threading.Lock()
        self._submit: Callable[[BackgroundTasks], None] | None = None
        self._active = False

    @overload
    def add_task(self, func: Task, *args: Any, **kwargs: Any) -> TaskResult: ...

    @overload
    def add_task[**P](self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> BackgroundTask: ...

    def add_task(self, func: Any, *args: Any, **kwargs: Any) -> BackgroundTask | TaskResult:
        """Add a function; or enqueue a Django task on its own backend, now, in the caller's transaction.

        Returns the `BackgroundTask` (id, name), or the Django task's `TaskResult`. Raises `TypeError` for a
        call that could not succeed, and for a Django task's argument that is not JSON.
        """
        if isinstance(func, Task):
            return self._enqueue(func, args, kwargs)
        task = BackgroundTask(func, *args, **kwargs)
        self.collect(task)
        return task

    async def aadd_task(self, func: Any, *args: Any, **kwargs: Any) -> BackgroundTask | TaskResult:
        """`add_task` for async code: runs in a thread, as a Django task's backend may use the database."""
        return await sync_to_async(self.add_task)(func, *args, **kwargs)

    def _enqueue(self, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TaskResult:
        context = (None,) if task.takes_context else ()
        require_call(task.func, (*context, *args), kwargs)
        token = collector.set(self)
        try:
            return task.enqueue(*args, **kwargs)
        finally:
            collector.reset(token)

    def collect(self, task: BackgroundTask) -> None:
        """Take a ready-made task."""
        with self._lock:
            submit = self._submit
            if submit is None or self._active:
                self.tasks.append(task)
                return
        late = BackgroundTasks([task])
        when_committed(lambda: late.hand_to(submit))

    def hand_to(self, submit: Callable[["BackgroundTasks"], None]) -> None:
        """Give these to `submit`, and later all that is added when they have run. Called once."""
        if self.tasks:
            commit_for_a_testcase()
        with self._lock:
            self._submit = submit
            self._active = self._count_pending() > 0
            if not self._active:
                return
        submit(self)

    def drop(self, submit: Callable[["BackgroundTasks"], None]) -> list[BackgroundTask]:
        """Forget and return what has been added. What is added from now on goes to `submit`."""
        dropped = [task for batch in iter(self.take, []) for task in batch]
        with self._lock:
            self._submit = submit
        return dropped

    def pending(self) -> int:
        """How many have not been started."""
        with self._lock:
            return self._count_pending()

    def _count_pending(self) -> int:
        return sum(task.counts for task in self.tasks[self._next :])

    def sole_merge_key(self) -> Hashable:
        """The merge key, if nothing but one mergeable task waits here."""
        with self._lock:
            return self.tasks[self._next].merge_key if len(self.tasks) - self._next == 1 else None

    def take(self) -> list[BackgroundTask]:
        """The next task, with those right behind it that may be merged with it. Empty: the pass has ended."""
        batch: list[BackgroundTask] = []
        with self._lock:
            while self._next < len(self.tasks) and len(batch) < MAX_BATCH:
                task = self.tasks[self._next]
                if batch and (task.merge_key is None or task.merge_key != batch[0].merge_key):
                    break
                self._next += 1
                if task.counts:
                    batch.append(task)
                else:
                    logger.info("Background task rolled back: name=%s id=%s", task.name, task.id)
            if not batch:
                self._active = False
        return batch

    def run(self, *, own_thread: bool = False) -> None:
        """Run them here, one by one, each isolated from the others. `own_thread`: see `run_isolated`."""
        while batch := self.take():
            run_isolated(merge(batch), own_thread=own_thread)

    def divert(self, reason: str) -> bool:
        left = [task for batch in iter(self.take, []) for task in batch if not task.divert(reason)]
        with self._lock:
            self.tasks[self._next :] = left
        return not left

    def abandon(self, reason: str) -> None:
        for batch in iter(self.take, []):
            for task in batch:
                task.abandon(reason)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.tasks!r}>"


def merge(batch: Sequence[BackgroundTask]) -> BackgroundTask:
    """One task out of a batch that `BackgroundTasks.take` gave."""
    return batch[0] if len(batch) == 1 else batch[0].merged(batch[1:])
