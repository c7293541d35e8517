"""The one wrapper around every unit of in-process background work: connections, logging, errors.

Note [Connections of a pool thread]
Before each unit the thread's connections are checked, after it they are checked again, as Django does around a
request; one in a transaction is left alone. With `CONN_MAX_AGE = 0` that closes them after every task. With
persistent connections a thread that has more work keeps its connection, and closes all of them when it has been
idle for a second: opening one costs more than most tasks. What runs in its caller's thread (a test's `run_inline`)
leaves the caller's connections alone: a test without a database may not even look at them.
"""

import logging
import threading
from typing import Protocol

from django.db import connections

logger = logging.getLogger(__name__)


class Unit(Protocol):
    id: str
    name: str

    def run(self) -> object: ...


# What each thread (by its ident) is running now: a stopping process names what it could not finish.
running: dict[int, Unit] = {}


def run_isolated(unit: Unit, *, own_thread: bool = True) -> None:
    """Run it. Whatever it raises, `SystemExit` included, is one ERROR record and stays here.

    With `own_thread=False` the thread is the caller's, and so are its connections: nobody looks at them.
    """
    ident = threading.get_ident()
    outer = running.get(ident)
    running[ident] = unit
    if own_thread:
        _close_old_connections()
    try:
        unit.run()
    except BaseException as error:  # the thread and the tasks behind this one must live on
        logger.exception("Background task failed: name=%s id=%s", unit.name, unit.id)
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise  # somebody pressed Ctrl-C while tasks ran inline
    finally:
        if outer is None:
            running.pop(ident, None)
        else:
            running[ident] = outer
        if own_thread:
            _close_old_connections()


def _close_old_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
