"""What a Celery worker does: its one task, and beside it the housekeeping that a cluster of the queue does too.

Note [Connections and forks]: the worker forks its processes whenever one is to be replaced. The housekeeping thread
closes its connections after each round, so that no child inherits an open one.
"""

import logging
import os
import threading
from collections.abc import Callable
from time import sleep
from typing import Any

from celery import Celery, signals
from celery.exceptions import Reject
from django.db import DatabaseError, InterfaceError, connections

from ...clock import database_now
from ..enqueueing import running_on
from ..queue.broker import queue_table
from . import execution, outbox
from .app import RUN, aliases, celery_app
from .publisher import publish_due

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds, at most, until the outbox is looked at; what is known to be due comes on time
DATABASE_PAUSE = 1.0  # seconds between two looks whether a database that was away is back
DATABASE_LOOKS = 10  # then the message goes back all the same: a worker must be able to stop


def worker_app(
    alias: str, *, housekeeping: Callable[[], object], interval: float, leave: Callable[[], object]
) -> Celery:
    """The application that `celery -A project worker` runs.

    `housekeeping` is called every `interval` seconds in the main process; `leave` by each child before it ends.
    """
    app = celery_app(alias)
    app.task(name=RUN, bind=True, ignore_result=True)(_task(alias))
    housekeeper = Housekeeper(alias, housekeeping, interval)
    signals.worker_ready.connect(lambda **_: housekeeper.start(), weak=False)
    signals.worker_shutting_down.connect(lambda **_: housekeeper.stop(), weak=False)
    signals.worker_process_init.connect(lambda **_: connections.close_all(), weak=False)
    signals.worker_process_shutdown.connect(lambda **_: leave(), weak=False)
    return app


def _task(alias: str) -> Callable[..., None]:
    def run(self: Any, content: dict[str, Any]) -> None:
        redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
        content = {"result_id": self.request.id, **content}  # of the first message, should it come back
        try:
            execution.run(alias, content, redelivered=redelivered)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("task=%s id=%s outcome=returned", content["name"], content["id"], exc_info=True)
            connections.close_all()
            _wait_for_database()
            raise Reject(error, requeue=True) from error

    return run


def _wait_for_database() -> None:
    """Not by the broker's hands alone: from RabbitMQ 4 on a queue drops what has come back twenty times."""
    for _ in range(DATABASE_LOOKS):
        sleep(DATABASE_PAUSE)
        if not outbox.is_away():
            return
        connections.close_all()


def pause_for(alias: str) -> float:
    """Seconds until the outbox has something due, by the clock that its locks are of: LOOK_EVERY at most."""
    next_due = outbox.next_due(alias)
    if next_due is None:
        return LOOK_EVERY
    due_in = (next_due - database_now(queue_table().using)).total_seconds()
    return min(max(due_in, 0.01), LOOK_EVERY)


class Housekeeper:
    """A thread of the main process. Its errors are logged and end nothing."""

    def __init__(self, alias: str, housekeeping: Callable[[], object], interval: float) -> None:
        self.alias = alias
        self.housekeeping = housekeeping
        self.interval = interval
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, args=(os.getpid(),), name="housekeeping", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self, pid: int) -> None:
        running_on.set(self.alias)
        since_housekeeping = self.interval
        while not self._stop.is_set():
            pause = LOOK_EVERY
            try:
                if since_housekeeping >= self.interval:
                    self.housekeeping()
                    since_housekeeping = 0
                for alias in aliases():  # of all: what is due is due, whoever's worker this is
                    publish_due(alias)
                pause = min(map(pause_for, aliases()))
            except Exception:  # whatever the application's sweep raises, the next round may succeed
                logger.exception("housekeeping=failed")
            finally:
                connections.close_all()  # Note [Connections and forks]
            since_housekeeping += pause
            self._stop.wait(pause)
