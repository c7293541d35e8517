"""Threads that run `BackgroundTasks`: bounded, oldest first, with a lane for what may run as one.

Note [A lane at a time]: what comes while the lane's last batch runs waits for its end, and becomes the next batch: a
few large ones cost a fraction of many small ones (Note [Batches under load]). It waits for a fortieth of a second at
most: then another thread takes it, so that one that hangs holds up nobody.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

from django.db import connections

from ..gathering import LONGEST_PAUSE, pause_after
from . import unit
from .conf import REFUSE, background_settings
from .tasks import MAX_BATCH, BackgroundTasks, merge
from .unit import run_isolated

logger = logging.getLogger(__name__)

IDLE_SECONDS = 1.0  # then a thread closes its connections and ends. Note [Connections of a pool thread]
FULL, SHUTDOWN = "pool is full", "process is stopping"


# And how many tasks were counted when they came: more may be added while they wait.
type Waiting = tuple[BackgroundTasks, int]


@dataclass(slots=True)
class Lane:
    """Passes of one mergeable task each, all with the same key: whoever comes first takes all that wait."""

    key: Hashable
    waiting: deque[Waiting] = field(default_factory=deque)
    is_queued: bool = False


class Pool:
    """Threads that run `BackgroundTasks`, one pass a thread, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._queue: deque[Waiting | Lane] = deque()
        self._lanes: dict[Hashable, Lane] = {}  # those in which something waits
        self._rest_until: dict[Hashable, float] = {}  # Note [A lane at a time]
        self._waiting = 0
        self._idle = 0
        self._threads: set[threading.Thread] = set()
        self._running: dict[int, list[BackgroundTasks]] = {}
        self._closed = False

    def submit(self, tasks: BackgroundTasks) -> None:
        """Run them on a thread of this pool; past the bound, wherever each of them goes on."""
        key = tasks.sole_merge_key()
        with self._lock:
            if key not in self._lanes and self._may_start_thread():
                self._start_thread()
            refused = self._refusal()
            if refused is None:
                self._put(tasks, key)
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
            return self._settled.wait_for(self._is_idle, timeout)

    def drain(self, timeout: float) -> None:
        """Work on for at most `timeout` seconds, then take nothing more and name what is left. For good."""
        deadline = time.monotonic() + timeout
        if self._closed:  # the lifespan has drained it, and now the interpreter ends
            return
        self.wait_idle(timeout)
        with self._lock:
            self._closed = True
            waiting = [entry for entry in self._queue if not isinstance(entry, Lane)]
            waiting += [entry for lane in self._lanes.values() for entry in lane.waiting]
            self._queue.clear()
            self._lanes.clear()
            self._waiting = 0
            begun = [tasks for passes in self._running.values() for tasks in passes]
            stuck = [unit.running[ident] for ident in self._running if ident in unit.running]
            self._ready.notify_all()
            idle = [thread for thread in self._threads if thread.ident not in self._running]
        for current in stuck:
            for task in getattr(current, "members", (current,)):
                logger.error("Background task not finished: name=%s id=%s", task.name, task.id)
        for tasks in begun + [tasks for tasks, _ in waiting]:
            if not tasks.divert(SHUTDOWN):
                tasks.abandon(SHUTDOWN)
        for thread in idle:
            thread.join(max(0.1, deadline - time.monotonic()))

    def _is_idle(self) -> bool:
        return not self._queue and not self._lanes and not self._running

    def _free(self) -> int:
        """How many threads have nothing to run, now or next."""
        resting = sum(not lane.is_queued for lane in self._lanes.values())
        return max(0, self._idle - len(self._queue) - resting)

    def _may_start_thread(self) -> bool:
        is_busy = not self._closed and self._free() == 0
        return is_busy and len(self._threads) < background_settings().max_threads

    def _refusal(self) -> str | None:
        if self._closed:
            return SHUTDOWN
        if self._free() > 0 or (self._threads and self._waiting < background_settings().max_waiting):
            return None
        return FULL  # or the system gives no thread at all

    def _put(self, tasks: BackgroundTasks, key: Hashable) -> None:
        entry = tasks, (counted := tasks.pending())
        self._waiting += counted
        if key in self._lanes:
            self._lanes[key].waiting.append(entry)
            return  # whoever waits for the lane takes it too
        if key is None:
            self._queue.append(entry)
        else:
            self._lanes[key] = Lane(key, deque([entry]))
            self._look_into_lanes(time.monotonic())
        self._ready.notify()

    def _look_into_lanes(self, now: float) -> None:
        """Queue those that have rested."""
        for lane in self._lanes.values():
            if not lane.is_queued and self._rest_until.get(lane.key, 0) <= now:
                self._queue.append(lane)
                lane.is_queued = True

    def _get(self) -> tuple[list[BackgroundTasks], Hashable]:
        """What is next, and the key of its lane, if it has one."""
        first, key = self._queue.popleft(), None
        if isinstance(first, Lane):
            key, waiting = first.key, first.waiting
            taken = [waiting.popleft() for _ in range(min(len(waiting), MAX_BATCH))]
            if waiting:  # behind everybody else
                self._queue.append(first)
            else:
                del self._lanes[key]
            self._rest_until[key] = time.monotonic() + LONGEST_PAUSE
        else:
            taken = [first]
        self._waiting -= sum(counted for _, counted in taken)
        return [tasks for tasks, _ in taken], key

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
            rest: tuple[Hashable, float] | None = None
            while passes := self._next_passes(ident, rest):
                batch, key = passes
                heads = [task for tasks in batch for task in tasks.take()] if len(batch) > 1 else []
                if heads:
                    run_isolated(merge(heads))
                for tasks in batch:
                    tasks.run(own_thread=True)
                rest = None if key is None else (key, pause_after(len(heads)) if heads else 0.0)
                del passes, batch, tasks, heads  # an idle thread must not keep a request alive
        finally:
            connections.close_all()

    def _next_passes(
        self, ident: int, rest: tuple[Hashable, float] | None
    ) -> tuple[list[BackgroundTasks], Hashable] | None:
        """What to run next; None when this thread has been idle for long enough.

        `rest` is the lane that it has come from, and for how many seconds it is now left alone, so that more may
        come: Note [Batches under load].
        """
        with self._lock:
            if rest is not None:
                self._rest_until[rest[0]] = time.monotonic() + rest[1]
            if self._running.pop(ident, None) is not None:
                self._idle += 1
                if self._is_idle():
                    self._settled.notify_all()
            self._wait()
            self._idle -= 1
            if self._queue:
                passes, key = self._get()
                self._running[ident] = passes
                return passes, key
            self._threads.discard(threading.current_thread())
            return None

    def _wait(self) -> None:
        """Until there is something to run; without a lane in which something rests, for IDLE_SECONDS at most."""
        now = time.monotonic()
        give_up = now + IDLE_SECONDS
        while not self._closed:
            self._look_into_lanes(now)
            resting = [self._rest_until[key] for key, lane in self._lanes.items() if not lane.is_queued]
            until = min(resting, default=give_up)
            if self._queue or until <= now:
                return
            self._ready.wait(until - now)
            now = time.monotonic()


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
        tasks.run(own_thread=True)
    finally:
        connections.close_all()
