"""The pusher process: claims entries, hands them to workers, renews their leases, puts back what goes back.

It is the only process of the cluster that claims. It holds nothing in reserve: what no worker can take now
returns to its place in the queue, so that an urgent entry or another cluster never waits behind it.
"""

import logging
import os
import selectors
import socket
import time
from collections.abc import Callable
from functools import partial

from django.db import DatabaseError, InterfaceError, connections
from django_q.conf import Conf

from ...gathering import PAUSE, pause_after
from .aftermath import settle_crashed
from .broker import LEASE, OrmBroker
from .control import Control
from .crew import TAKE_BACK_AFTER, Crew
from .housekeeping import Housekeeper
from .processes import LARGEST_JOB, become_child
from .systemd import Pulse
from .wakeup import INTERVAL, Listener

logger = logging.getLogger(__name__)

RENEW_EVERY = LEASE.total_seconds() / 4
# Seconds between two looks whether SQLite's file has changed, of some 5 µs each: a millisecond, in truth. epoll rounds
# up, and of what is a hair more than one it makes two.
BRISK = 0.0009
CALM_AFTER = 5.0  # seconds without an entry, after which it is looked at less often: every CALM seconds
CALM = 0.01


class Pusher(Crew):
    """One for a cluster. `run` returns when it was told to stop and every worker has reported."""

    def __init__(
        self, broker: OrmBroker, control: socket.socket, *, pulse: Pulse, run_once: bool = False
    ) -> None:
        super().__init__(appetite=int(Conf.BULK))
        self.broker = broker
        self.table = broker.table
        self.control = Control(control)
        self.run_once = run_once
        self.pulse = pulse
        self.listener = Listener(self.table.using)
        self.stopping = False
        # Of what waited when they were last asked for, highest priority first.
        self.keys = [self.broker.list_key]
        self.look_at = 0.0
        self.poll_at = 0.0
        self.awake_until = 0.0
        self.calm_from = 0.0
        self.renew_at = time.monotonic() + RENEW_EVERY
        self.away_until = 0.0

    def run(self) -> None:
        self.selector.register(self.control, selectors.EVENT_READ, self.obey)
        self.safely(self.listen)
        while not (self.stopping and not any(hand.jobs for hand in self.hands.values())):
            for key, _ in self.selector.select(self.patience()):
                key.data()
            self.pulse.beat()
            now = time.monotonic()
            if now < self.away_until:
                continue
            self.take_back(now)
            if now >= self.renew_at:
                self.safely(self.renew)
            if self.put_back or self.crashed:
                self.safely(self.tidy)
            if not self.stopping and now >= self.look_at and self.free_hands():
                self.safely(self.look)
        self.safely(self.tidy)
        for hand in self.hands.values():
            if hand.wire is not None:
                hand.wire.close()
        self.listener.close()

    # --- when -----------------------------------------------------------------------------------------

    def patience(self) -> float:
        """Seconds until there is something to do that no file descriptor tells."""
        now = time.monotonic()
        if now < self.away_until:
            return self.away_until - now
        moments = [self.renew_at]
        if self.put_back or self.crashed:
            return 0
        if any(hand.jobs for hand in self.hands.values()):
            moments.append(now + TAKE_BACK_AFTER / 5)
        if not self.stopping and self.free_hands():
            if self.listener.must_look:
                moments.append(max(self.look_at, now + (BRISK if now < self.calm_from else CALM)))
            moments += [self.poll_at] if self.poll_at > self.look_at else [self.look_at]
        return max(0.0, min(moments) - now)

    # --- claim and hand out -----------------------------------------------------------------------------

    def listen(self) -> None:
        fd = self.listener.open()
        if fd is not None:
            self.selector.register(fd, selectors.EVENT_READ, partial(self.safely, self.hear))

    def hear(self) -> None:
        if self.listener.heard():
            now = time.monotonic()
            self.awake_until = now + 4 * INTERVAL
            self.poll_at = now

    def look(self) -> None:
        """Claim what the free workers can take, if there may be something.

        Note [Claim first]: which keys there are is asked afterwards, when the workers have begun. Should there be one
        more than the last time, the next look comes at once.
        """
        now = time.monotonic()
        if self.listener.must_look and self.listener.heard():
            self.poll_at = now
        if now < self.poll_at:
            return
        hands = self.free_hands()
        limit = min(self.appetite, LARGEST_JOB) * len(hands)
        claimed = self.broker.claim(limit, background=False, keys=self.keys)
        # Who is told of what comes need not pause after nothing. SQLite's file changes for other reasons, too.
        self.look_at = now + pause_after(len(claimed)) if claimed or self.listener.must_look else now
        if claimed:
            self.hand_out(self.known(claimed), hands)
        before, self.keys = self.keys, self.broker.keys()
        behind = self.look_behind(self.keys)
        if claimed or behind:
            self.calm_from = now + CALM_AFTER
        elif self.run_once and not any(hand.jobs for hand in self.hands.values()):
            self.stopping = True
        if len(claimed) >= limit or not set(before).issuperset(self.keys):
            self.look_soon()
        else:
            # Whoever enqueued just after the one that was heard may have been silent: see `wakeup`.
            self.poll_at = now + (2 * PAUSE if now < self.awake_until else self.broker.idle_for(self.keys))

    def look_soon(self) -> None:
        self.look_at = self.poll_at = 0.0

    def look_behind(self, keys: list[str]) -> bool:
        """Claim what waits in the background, for workers that have nothing else. Whether there was any.

        Note [The last worker]: priorities below 0 are for what may take its time. However much of it there is,
        one worker (where there are two or more) is kept from it, so that the rest never waits for it to end.
        """
        hands = [hand for hand in self.hands.values() if hand.wire is not None and not hand.leaving]
        busy = sum(any(handed.background for handed in hand.jobs) for hand in hands)
        room = max(1, len(hands) - 1) - busy
        idle = [hand for hand in hands if not hand.jobs][: max(0, room)]
        self.more_behind = True
        if not idle:
            return False
        limit = min(int(Conf.BULK), LARGEST_JOB) * len(idle)
        claimed = self.broker.claim(limit, background=True, keys=keys)
        self.more_behind = len(claimed) >= limit
        if claimed:
            self.hand_out(self.known(claimed), idle, background=True)
        return bool(claimed)

    # --- leases --------------------------------------------------------------------------------------------

    def renew(self) -> None:
        held = [handed for hand in self.hands.values() for handed in hand.jobs]
        pks = [pk for handed in held for pk in handed.entries]
        orphans = [pk for hand in self.hands.values() if not hand.jobs for pk in hand.slot.held]
        if pks or orphans:
            until = self.table.renew(pks + orphans, LEASE)
            for handed in held:
                handed.entries = {pk: entry._replace(lease=until) for pk, entry in handed.entries.items()}
        self.renew_at = time.monotonic() + RENEW_EVERY

    def tidy(self) -> None:
        """Write down what goes back to the queue, and what a dead worker left."""
        self.table.restore((entry.pk, entry.lease, lock) for entry, lock in self.put_back)
        self.put_back.clear()
        while self.crashed:
            settle_crashed(self.broker, *self.crashed[0])
            self.crashed.pop(0)

    def safely(self, step: Callable[[], None]) -> None:
        """A database that is away is waited for; what is pending stays pending."""
        try:
            step()
        except (DatabaseError, InterfaceError) as error:
            now = time.monotonic()
            if not self.away_until:
                logger.warning("database=away step=%s error=%s", step.__name__, error)
            self.away_until = now + 0.25
            connections[self.table.using].close()
            if self.listener.raw is not None:
                self.selector.unregister(self.listener.fd)
                self.listener.close()
            if self.stopping:
                self.put_back.clear()  # their leases end by themselves
                self.crashed.clear()
        else:
            # A step that had nothing to ask has made no connection, and does not tell.
            if self.away_until and connections[self.table.using].connection is not None:
                self.away_until = 0.0
                logger.warning("database=back")
                self.safely(self.listen)

    # --- the sentinel's word --------------------------------------------------------------------------------

    def obey(self) -> None:
        try:
            for do, message in self.control.receive():
                getattr(self, f"obey_{do}")(**message)
        except EOFError:
            os._exit(1)  # the sentinel is gone

    def obey_stop(self) -> None:
        self.stopping = True


def push(
    parent: int,
    control: socket.socket,
    others: socket.socket,
    broker: OrmBroker,
    housekeeper: Housekeeper,
    *,
    run_once: bool,
    pulse: Pulse,
) -> None:
    """The pusher's life. `others` is the sentinel's end of the control socket."""
    become_child(parent, f"qcluster {broker.list_key} pusher")
    others.close()
    housekeeper.start()
    try:
        Pusher(broker, control, run_once=run_once, pulse=pulse).run()
    finally:
        housekeeper.stop()
