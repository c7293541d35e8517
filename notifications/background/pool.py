"""The process's own pool of threads: made when first needed, drained when the process stops.

All state of the process lives here. A fork starts with no pool, so `--preload` is safe.

Note [Drain]
Python calls what `threading._register_atexit` holds when the main thread has ended, before it joins threads
and while executors still work: under gunicorn that is the end of a worker after SIGTERM, with no line in the
user's configuration. uvicorn ends with the signal itself and runs no exit code, so there `asgi.py` drains at
the lifespan's shutdown.
"""

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .conf import background_settings
from .tasks import BackgroundTasks
from .threads import Pool

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
