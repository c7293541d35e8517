"""What a cluster does from time to time beside its work: django-q2's schedules, and the application's own sweep.

It runs on a thread of the pusher with connections of its own. Any number of clusters may do it: each of
django-q2's schedules is locked while it is enqueued, and the application's sweep sees to itself.
"""

import logging
import threading
import time
from collections.abc import Callable

from django.db import connections
from django_q.conf import Conf

from .broker import OrmBroker

logger = logging.getLogger(__name__)

SCHEDULES_EVERY = 10.0  # seconds; django-q2 looks every 30


class Housekeeper:
    """Calls `housekeeping` every `interval` seconds until stopped. Its errors are logged and end nothing."""

    def __init__(self, broker: OrmBroker, housekeeping: Callable[[], object] | None, interval: float) -> None:
        self.broker = broker
        self.housekeeping = housekeeping
        self.interval = interval
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait for the round under way, a moment only."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def _run(self) -> None:
        schedules_at = time.monotonic()
        try:
            while True:
                if Conf.SCHEDULER and time.monotonic() >= schedules_at:
                    self._attempt(self._schedules)
                    schedules_at = time.monotonic() + SCHEDULES_EVERY
                if self.housekeeping is not None:
                    self._attempt(self.housekeeping)
                if self._stop.wait(self.interval):
                    return
        finally:
            connections.close_all()

    def _schedules(self) -> None:
        from django_q.scheduler import scheduler

        from .schedules import put_off

        put_off()
        scheduler(broker=self.broker)

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception:  # whatever the application's sweep raises, the next round may succeed
            logger.exception("housekeeping=failed")
            connections.close_all()
