"""Threads that run `BackgroundTasks`: bounded, oldest first, with a lane for what may run as one."""

import logging
import threading
import time
from collections import deque
from collections.abc import Hashable

from django.db import connections

from ..gathering import pause_after
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
        self._resting: set[Hashable] = set()  # lanes that are left alone for a moment: see `_rest`
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
            if key not in self._resting:
                self._queue.append(None)

    def _get(self) -> list[BackgroundTasks]:
        tasks = self._queue.popleft()
        if tasks is not None:
            passes = [tasks]
        else:
            key, lane = next(item for item in self._lanes.items() if item[0] not in self._resting)
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
                heads = [task for tasks in passes for task in tasks.take()] if len(passes) > 1 else []
                if heads:
                    run_isolated(merge(heads))
                for tasks in passes:
                    tasks.run()
                if heads:
                    self._rest(heads[0].merge_key, pause_after(len(heads)))
                del passes, tasks, heads  # an idle thread must not keep a request alive
        finally:
            connections.close_all()

    def _rest(self, key: Hashable, seconds: float) -> None:
        """Let more come before the lane is looked into again. Note [Batches under load]"""
        with self._lock:
            if key in self._lanes or key in self._resting:  # others are at it
                return
            self._resting.add(key)
        time.sleep(seconds)
        with self._lock:
            self._resting.discard(key)
            if key in self._lanes:
                self._queue.append(None)
                self._ready.notify()

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
