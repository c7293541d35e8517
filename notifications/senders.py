"""Threads for channels that wait on the network: many sends at once in one process, and never too many.

One set a process, made when first needed. A send that gets stuck holds its own thread and nobody else's.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections

from .background import BackgroundTask
from .background.unit import run_isolated
from .conf import notification_settings


class Senders:
    """At most `limit` sends at a time. Who wants to send reserves first, and so claims only what starts at once."""

    def __init__(self, limit: int) -> None:
        self.executor = ThreadPoolExecutor(limit, thread_name_prefix="notification-sender")
        self.free = self.limit = limit
        self.freed = threading.Condition()

    def reserve(self, wanted: int) -> int:
        """Wait until somebody is free, and take up to `wanted` of them. Each is given back by `run` or `release`."""
        with self.freed:
            self.freed.wait_for(lambda: self.free > 0)
            taken = min(self.free, wanted)
            self.free -= taken
            return taken

    def release(self, count: int = 1) -> None:
        with self.freed:
            self.free += count
            self.freed.notify_all()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing is being sent. False: `timeout` seconds have passed before."""
        with self.freed:
            return self.freed.wait_for(lambda: self.free == self.limit, timeout)

    def run(self, send: Callable[..., None], *args: Any) -> None:
        """Run it on a reserved thread, which is free again when it ends, whatever it raises."""
        task = BackgroundTask(send, *args)
        try:
            self.executor.submit(self._run, task)
        except RuntimeError:  # the process is stopping: no new thread, but what was claimed is still sent
            self._run(task)

    def _run(self, task: BackgroundTask) -> None:
        try:
            run_isolated(task)
        finally:
            # A connection kept for each thread would be dozens for each worker, most of them idle.
            connections.close_all()
            self.release()


_senders: Senders | None = None
_making = threading.Lock()


def senders() -> Senders:
    """Those of this process."""
    global _senders
    with _making:
        if _senders is None:
            _senders = Senders(notification_settings().concurrent_sends)
        return _senders


def wait_idle(timeout: float) -> bool:
    """Wait until those of this process, if there are any, send nothing."""
    return _senders is None or _senders.wait_idle(timeout)


def _after_fork() -> None:
    global _senders, _making
    _senders, _making = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
