"""The workers as the pusher sees them: who is free, what each of them has, what comes back from it."""

import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from . import package
from .entries import Entry, not_a_lease
from .pace import Pace
from .processes import Job, Report, Slot, Wire

logger = logging.getLogger(__name__)

START_WITHIN = 1.0  # seconds a job may wait in a worker before it goes back
TAKE_BACK_AFTER = 5.0  # seconds after which the pusher itself takes back what a stuck worker did not begin


@dataclass(slots=True)
class Handed:
    """A job a worker has, and its entries that are not yet accounted for."""

    entries: dict[int, Entry]
    path: str
    merged: bool
    start_before: float
    size: int
    background: bool


@dataclass(slots=True)
class Hand:
    """A worker as the pusher sees it. `wire` is None for one whose pusher died: it only finishes its job."""

    pid: int
    slot: Slot
    wire: Wire | None
    jobs: deque[Handed] = field(default_factory=deque)
    leaving: bool = False


class Crew:
    """Hands out claimed entries, and collects in `put_back` what must return to the queue and with which lock."""

    def __init__(self, appetite: int) -> None:
        self.hands: dict[int, Hand] = {}
        self.pace = Pace()
        self.appetite = appetite  # entries that a free worker could take, judged by what there was last
        self.put_back: list[tuple[Entry, datetime]] = []
        # Entries that were running, why they are not any more, and since when they were (monotonic).
        self.crashed: list[tuple[list[int], str, float]] = []
        self.warned: set[int] = set()
        self.selector = selectors.DefaultSelector()
        self.more_behind = False  # in the background, when it was last looked at

    def look_soon(self) -> None:
        """There is more to claim than was claimed."""
        raise NotImplementedError

    def free_hands(self) -> list[Hand]:
        """Workers that can take a job, the idle first."""
        hands = [h for h in self.hands.values() if h.wire is not None and not h.leaving and self.has_room(h)]
        return sorted(hands, key=lambda hand: len(hand.jobs))

    def has_room(self, hand: Hand) -> bool:
        if not hand.jobs:
            return True
        [first, *more] = hand.jobs
        return (
            not more
            and not first.background
            and self.pace.is_quick(first.path, 1 if first.merged else len(first.entries))
        )

    # --- who comes and goes, in the sentinel's words ---------------------------------------------------------

    def obey_add(self, pid: int, fds: list[int]) -> None:
        wire, slot = Wire(socket.socket(fileno=fds[0])), Slot(fds[1])
        hand = self.hands[pid] = Hand(pid, slot, wire)
        self.selector.register(wire, selectors.EVENT_READ, partial(self.serve, hand))

    def obey_adopt(self, pid: int, fds: list[int]) -> None:
        """A worker of the pusher before, busy with its last job."""
        self.hands[pid] = Hand(pid, Slot(fds[0]), None, leaving=True)

    def obey_gone(self, pid: int, reason: str) -> None:
        """A worker has ended. What it reported before counts; what it was running is settled."""
        hand = self.hands.pop(pid)
        while hand.wire is not None and self.read(hand):
            pass
        running = set(hand.slot.running)
        blamed = [pk for pk in running if reason != "stopped"]
        for handed in hand.jobs:
            self.put_back += [(e, e.place) for pk, e in handed.entries.items() if pk not in blamed]
        if blamed:
            self.crashed.append((blamed, reason, hand.slot.started))
        hand.slot.close()

    # --- hand out -----------------------------------------------------------------------------------------

    def known(self, claimed: list[Entry]) -> Iterable[tuple[Entry, package.Target]]:
        """What this version can run. The rest stays in the queue, is shown, and is looked at again later."""
        held = {pk: handed for hand in self.hands.values() for handed in hand.jobs for pk in handed.entries}
        for entry in claimed:
            if entry.pk in held:  # its lease had run out while the database was away
                held[entry.pk].entries[entry.pk] = entry
                continue
            try:
                yield entry, package.target_of_payload(entry.payload)
            except (Exception, SystemExit) as error:  # noqa: BLE001  see Note [Whatever an entry holds]
                self.defer(entry, package.shown(error))

    def defer(self, entry: Entry, why: str) -> None:
        if entry.pk not in self.warned:
            self.warned.add(entry.pk)
            logger.warning("entry=%d outcome=kept reason=%r", entry.pk, why)
        # It is looked at again when the lease would have ended.
        self.put_back.append((entry, not_a_lease(entry.lease)))

    def hand_out(
        self,
        entries: Iterable[tuple[Entry, package.Target]],
        hands: list[Hand],
        *,
        background: bool = False,
    ) -> None:
        kinds: dict[str, tuple[package.Target, list[Entry]]] = {}
        for entry, target in entries:
            kinds.setdefault(target.path, (target, []))[1].append(entry)
        free = deque(hands)
        for target, waiting in kinds.values():
            room = self.pace.room(target)
            if not background:
                self.appetite = room
            while waiting and free:
                idle = sum(not hand.jobs for hand in free) or 1
                share = min(room, max(-(-len(waiting) // idle), self.pace.least(target)))
                self.hand(free.popleft(), waiting[:share], target, background=background)
                del waiting[:share]
            self.put_back += [(entry, entry.place) for entry in waiting]

    def hand(self, hand: Hand, entries: list[Entry], target: package.Target, *, background: bool) -> None:
        assert hand.wire is not None
        start_before = time.monotonic() + START_WITHIN
        held = {entry.pk: entry for entry in entries}
        handed = Handed(held, target.path, target.mergeable, start_before, len(held), background)
        hand.jobs.append(handed)
        self.deliver(hand, Job(start_before, [(entry.pk, entry.payload) for entry in entries]))

    def deliver(self, hand: Hand, job: Job | None = None) -> None:
        assert hand.wire is not None
        try:
            hand.wire.post(job) if job else hand.wire.flush()
        except ConnectionError:
            return  # it died; the sentinel will say so
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if hand.wire.has_more else 0)
        self.selector.modify(hand.wire, events, partial(self.serve, hand))

    # --- what comes back ----------------------------------------------------------------------------------

    def serve(self, hand: Hand) -> None:
        """A worker's socket is ready: it takes more, has reported, or is gone."""
        if hand.wire is None:
            return
        if hand.wire.has_more:
            self.deliver(hand)
        try:
            hand.wire.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:
            pass
        self.read(hand)

    def read(self, hand: Hand) -> bool:
        assert hand.wire is not None
        try:
            report: Report = hand.wire.receive()
        except EOFError:
            self.hang_up(hand)
            return False
        handed = hand.jobs.popleft()
        if handed.background and self.more_behind:
            self.look_soon()
        for pk in report.unbegun:
            if entry := handed.entries.get(pk):
                self.put_back.append((entry, entry.place))
        for pk, why in report.unknown.items():
            if entry := handed.entries.get(pk):
                self.defer(entry, why)
        done = handed.size - len(report.unbegun) - len(report.unknown)
        if done > 0:
            self.pace.learn(handed.path, report.seconds / (1 if handed.merged else done))
        if report.leaving:
            hand.leaving = True
        if hand.leaving and not hand.jobs:
            self.hang_up(hand)
        return True

    def hang_up(self, hand: Hand) -> None:
        if hand.wire is not None:
            self.selector.unregister(hand.wire)
            hand.wire.close()
            hand.wire = None

    def take_back(self, now: float) -> None:
        """Entries behind a stuck call: the worker will not begin them any more, see `Job`."""
        for hand in self.hands.values():
            for handed in hand.jobs:
                if now < handed.start_before + TAKE_BACK_AFTER:
                    continue
                begun = hand.slot.begun if handed is hand.jobs[0] else set()
                for pk in handed.entries.keys() - begun:
                    entry = handed.entries.pop(pk)
                    self.put_back.append((entry, entry.place))
