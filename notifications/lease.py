"""Leases of long sends: while a channel is at work, a thread of this process renews what it holds.

A claim holds for NOTIFICATIONS_LEASE. Whoever dies stops renewing, and `services.recover` takes over. A send
that ends within a third of the lease never meets the thread.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from django.db import Error, connections

from . import statements
from .conf import notification_settings

logger = logging.getLogger("notifications.lease")

IDLE_SECONDS = 5.0  # the thread ends, and closes its connection, when there was nothing to hold for so long


@dataclass(eq=False, slots=True)
class Holding:
    """Claims that one call of `deliver` is sending."""

    claims: list[tuple[str, int]]
    lease: timedelta
    using: str
    renew_at: float = field(init=False)
    gives_up_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.gives_up_at = monotonic() + notification_settings().max_send.total_seconds()
        self.postpone()

    def postpone(self) -> None:
        self.renew_at = monotonic() + self.lease.total_seconds() / 3


class Keeper:
    """The thread and what it holds. One a process, made when first needed, again after a fork."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.changed = threading.Condition()
        self.holdings: set[Holding] = set()
        self.thread: threading.Thread | None = None
        self.wakes_at = 0.0  # when the waiting thread looks again

    def add(self, holding: Holding) -> None:
        with self.changed:
            self.holdings.add(holding)
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="notification-leases", daemon=True)
                self.thread.start()
            elif holding.renew_at < self.wakes_at:
                # Only then: waking it for every short send would cost more than the send.
                self.changed.notify()

    def remove(self, holding: Holding) -> None:
        with self.changed:
            self.holdings.discard(holding)

    def run(self) -> None:
        idle_since = monotonic()
        try:
            while True:
                with self.changed:
                    now = monotonic()
                    if self.holdings:
                        idle_since = now
                    elif now - idle_since > IDLE_SECONDS:
                        self.thread = None
                        return
                    due = [holding for holding in self.holdings if holding.renew_at <= now]
                for holding in due:
                    self.renew(holding)
                with self.changed:
                    pause = self.pause()
                    self.wakes_at = monotonic() + pause
                    self.changed.wait(pause)
        finally:
            connections.close_all()

    def pause(self) -> float:
        """Seconds until somebody needs renewing."""
        now = monotonic()
        return min((max(holding.renew_at - now, 0) for holding in self.holdings), default=IDLE_SECONDS)

    def renew(self, holding: Holding) -> None:
        if monotonic() > holding.gives_up_at:
            self.remove(holding)
            logger.error("lease=given-up count=%d: the channel takes too long", len(holding.claims))
            return
        holding.postpone()
        try:
            held = statements.renew(holding.claims, holding.lease, holding.using)
        except Error:
            # The database is away: there are two more tries before the lease passes.
            logger.warning("lease=not-renewed count=%d", len(holding.claims), exc_info=True)
            connections[holding.using].close()
        else:
            logger.debug("lease=renewed held=%d of=%d", held, len(holding.claims))


_keeper: Keeper | None = None
_making = threading.Lock()


def keeper() -> Keeper:
    global _keeper
    with _making:
        if _keeper is None or _keeper.pid != os.getpid():
            _keeper = Keeper()
        return _keeper


@contextmanager
def held(claims: Sequence[statements.Claim], lease: timedelta, using: str) -> Iterator[None]:
    """Renew the leases of these claims while the block runs."""
    holding = Holding([(claim.id, claim.attempt) for claim in claims], lease, using)
    keeper().add(holding)
    try:
        yield
    finally:
        keeper().remove(holding)


def _after_fork() -> None:
    # The lock may have been held by a thread that does not exist in the child.
    global _making
    _making = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
