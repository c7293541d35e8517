"""The process's own threads: made when first needed, bounded, drained when the process stops.

All state of the process lives here. A fork starts with no pool, so `--preload` is safe.

Note [Drain]
Python calls what `threading._register_atexit` holds when the main thread has ended, before it joins threads
and while executors still work: under gunicorn that is the end of a worker after SIGTERM, with no line in the
user's configuration. uvicorn ends with the signal itself and runs no exit code, so there `asgi.py` drains at
the lifespan's shutdown.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from django.db import connections

from . import unit
from .conf import REFUSE, background_settings
from .tasks import MAX_BATCH, BackgroundTasks, merge
from .unit import run_isolated

logger = logging.getLogger(__name__)

IDLE_SECONDS = 1.0  # then a thread closes its connections and ends. Note [Connections of a pool thread]
FULL, SHUTDOWN = "pool is full", "process is stopping"


class Pool:
    """Threads that run `BackgroundTasks`, one pass a thread, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._queue: deque[BackgroundTasks | None] = deque()  # None: look into the oldest lane
        # Passes of one mergeable task each, by their key: whoever comes first takes all that wait.
        self._lanes: dict[Hashable, deque[BackgroundTasks]] = {}
        self._waiting = 0
        self._idle = 0
        self._threads: set[threading.Thread] = set()
        self._running: dict[int, list[BackgroundTasks]] = {}
        self._closed = False

    def submit(self, tasks: BackgroundTasks) -> None:
        """Run them on a thread of this pool; past the bound, wherever each of them goes on."""
        with self._lock:
            if self._may_start_thread():
                self._start_thread()
            refused = self._refusal()
            if refused is None:
                self._put(tasks)
                self._ready.notify()
        if refused is not None:
            turn_away(tasks, refused)

    def usage(self) -> dict[str, int]:
        """How many tasks wait, and how many threads run some, now."""
        with self._lock:
            return {"waiting": self._waiting, "running": len(self._running)}

    def refusal(self) -> str | None:
        """Why this pool would turn away what came now. None: it would take it."""
        with self._lock:
            return None if self._may_start_thread() else self._refusal()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing waits and nothing runs. False: `timeout` seconds have passed before."""
        with self._lock:
            return self._settled.wait_for(lambda: not self._queue and not self._running, timeout)

    def drain(self, timeout: float) -> None:
        """Work on for at most `timeout` seconds, then take nothing more and name what is left. For good."""
        deadline = time.monotonic() + timeout
        if self._closed:  # the lifespan has drained it, and now the interpreter ends
            return
        self.wait_idle(timeout)
        with self._lock:
            self._closed = True
            waiting = [tasks for tasks in self._queue if tasks is not None]
            waiting += [tasks for lane in self._lanes.values() for tasks in lane]
            self._queue.clear()
            self._lanes.clear()
            begun = [tasks for passes in self._running.values() for tasks in passes]
            stuck = [unit.running[ident] for ident in self._running if ident in unit.running]
            self._ready.notify_all()
            idle = [thread for thread in self._threads if thread.ident not in self._running]
        for current in stuck:
            for task in getattr(current, "members", (current,)):
                logger.error("Background task not finished: name=%s id=%s", task.name, task.id)
        for tasks in begun + waiting:
            if not tasks.divert(SHUTDOWN):
                tasks.abandon(SHUTDOWN)
        for thread in idle:
            thread.join(max(0.1, deadline - time.monotonic()))

    def _free(self) -> int:
        """How many threads have nothing to run, now or next."""
        return max(0, self._idle - len(self._queue))

    def _may_start_thread(self) -> bool:
        is_busy = not self._closed and self._free() == 0
        return is_busy and len(self._threads) < background_settings().max_threads

    def _refusal(self) -> str | None:
        if self._closed:
            return SHUTDOWN
        if self._free() > 0 or (self._threads and self._waiting < background_settings().max_waiting):
            return None
        return FULL  # or the system gives no thread at all

    def _put(self, tasks: BackgroundTasks) -> None:
        self._waiting += tasks.pending()
        key = tasks.sole_merge_key()
        if key is None:
            self._queue.append(tasks)
        elif key in self._lanes:
            self._lanes[key].append(tasks)
        else:
            self._lanes[key] = deque([tasks])
            self._queue.append(None)

    def _get(self) -> list[BackgroundTasks]:
        tasks = self._queue.popleft()
        if tasks is not None:
            passes = [tasks]
        else:
            key, lane = next(iter(self._lanes.items()))
            passes = [lane.popleft() for _ in range(min(len(lane), MAX_BATCH))]
            del self._lanes[key]
            if lane:  # behind everybody else
                self._lanes[key] = lane
                self._queue.append(None)
        self._waiting -= sum(tasks.pending() for tasks in passes)
        return passes

    def _start_thread(self) -> None:
        # Daemons: the drain has a deadline, a join by the interpreter would not.
        thread = threading.Thread(target=self._work, name=f"background-{len(self._threads) + 1}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the limit of the process or of the machine
            logger.exception("The pool has %s threads and cannot start another", len(self._threads))
        else:
            self._threads.add(thread)
            self._idle += 1

    def _work(self) -> None:
        ident = threading.get_ident()
        try:
            while passes := self._next_passes(ident):
                if len(passes) > 1:
                    heads = [task for tasks in passes for task in tasks.take()]
                    run_isolated(merge(heads))
                for tasks in passes:
                    tasks.run()
                del passes, tasks  # an idle thread must not keep a request alive
        finally:
            connections.close_all()

    def _next_passes(self, ident: int) -> list[BackgroundTasks]:
        """What to run next; empty when this thread has been idle for long enough."""
        with self._lock:
            if self._running.pop(ident, None) is not None:
                self._idle += 1
                if not self._queue and not self._running:
                    self._settled.notify_all()
            self._ready.wait_for(lambda: self._queue or self._closed, IDLE_SECONDS)
            self._idle -= 1
            if self._queue:
                self._running[ident] = self._get()
                return self._running[ident]
            self._threads.discard(threading.current_thread())
            return []


def turn_away(tasks: BackgroundTasks, reason: str) -> None:
    """No thread will take these: on to another backend, or run in the caller, or refused as configured."""
    if tasks.divert(reason):
        return
    if reason == SHUTDOWN or background_settings().overflow == REFUSE:
        tasks.abandon(reason)
        return
    logger.warning("The pool is full, background tasks run in their caller: %s", tasks)
    # The caller waits; the work is done on a thread, because under ASGI the caller's own would lead async
    # functions back to the server's event loop.
    thread = threading.Thread(target=_run_here, args=(tasks,), name="background-overflow")
    thread.start()
    thread.join()


def _run_here(tasks: BackgroundTasks) -> None:
    try:
        tasks.run()
    finally:
        connections.close_all()


_pool: Pool | None = None
_lock = threading.Lock()
_hooked = False
_replacement: Callable[[BackgroundTasks], None] | None = None


def current_pool() -> Pool:
    """The pool of this process."""
    global _pool, _hooked
    with _lock:
        if _pool is None:
            _pool = Pool()
            if not _hooked:  # a fork inherits the hook
                # Private, and the one place that lies before executors shut. Note [Drain]
                getattr(threading, "_register_atexit", atexit.register)(shutdown)
                _hooked = True
        return _pool


def submit(tasks: BackgroundTasks) -> None:
    """To the pool of this process, or to what a test has put in its place."""
    (_replacement or current_pool().submit)(tasks)


@contextmanager
def replaced(replacement: Callable[[BackgroundTasks], None]) -> Iterator[None]:
    """For tests: in this block all hand-overs of this process go to `replacement`."""
    global _replacement
    before, _replacement = _replacement, replacement
    try:
        yield
    finally:
        _replacement = before


def existing_pool() -> Pool | None:
    """The pool, if one has been needed."""
    return _pool


def shutdown() -> None:
    """Drain within the deadline; from now on the process takes no background work. Safe to call twice."""
    pool = _pool
    if pool is not None:
        pool.drain(background_settings().drain_timeout)


def renew() -> None:
    """Forget the pool: after a fork its threads are not there; a test starts afresh."""
    global _pool, _lock
    _pool = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=renew)
