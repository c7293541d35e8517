"""Group commit: what comes while somebody writes is written together, next, by one of those who brought it.

A single caller waits for nobody and pays nothing. Under load one transaction takes the place of many, and the threads
of a process wait for one another here, where the next is woken at once, instead of at the database's door.

Note [As many as the last time]: of Python's threads one runs at a time, so where a write is short (SQLite's is) each
comes to its turn just after the one before has gone. When several came together the last time, whoever leads waits for
as many again, for less than a millisecond; when they do not come, the next one waits no more.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from django.db import InterfaceError, OperationalError

MOST = 100  # items that are written together
PAUSE = 0.004  # seconds, for each
LONGEST_PAUSE = 0.025  # seconds
PATIENCE = 0.0007  # seconds. Note [As many as the last time]
LOST_AFTER = 5.0  # seconds of a write that failed, after which nobody tries again. Note [Together or alone]


def pause_after(number: int) -> float:
    """Seconds to let work come in after a batch of so many.

    Note [Batches under load]: what a batch costs (a claim, a record, a removal) is several times what one more item
    in it costs, on both sides of the database; on SQLite it also takes the writer from the requests. So the more
    there was, the longer the next look waits, up to a fortieth of a second. What comes alone, up to some hundred a
    second, is taken at once.
    """
    return min(LONGEST_PAUSE, PAUSE * max(1, number))


def _held() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Place[Item]:
    item: Item
    result: Any = None
    is_settled: bool = False
    has_result: bool = False
    error: Exception | None = None
    thread: int = field(default_factory=threading.get_ident)
    # Released when it is settled, or when it is its owner's turn to lead.
    wake: threading.Lock = field(default_factory=_held)


class Gathering[Item, Result]:
    """`write` takes items and gives a result for each, in order; it writes all of them or none.

    Note [Nobody waits for the next write]: whoever was written with others goes on at once, while the longest waiting
    of the rest already leads the next write. On one lock for all it would first have to take its turn after that one,
    only to find that there is nothing left to do; and those who might come next would be those who are held up.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._write = write
        self.clear()

    def clear(self) -> None:
        """Nobody is there: what a forked child begins with, for it has none of the threads that were."""
        self._door = threading.Lock()  # of the two that follow
        self._waiting: deque[_Place[Item]] = deque()
        self._leader: int | None = None  # the thread that writes, or is about to
        self._expected = 1
        self._enough = threading.Event()

    def join(self, item: Item) -> Result:
        """What `write` gives for this item. Raises what `write` raises for it.

        Note [Together or alone]: when the write of several fails, each is written once more alone, by its own
        thread: one that cannot be written takes nobody with it, and everybody gets the error of his own. But where the
        database took long to be away, that was not for one of them: somebody holds it locked, and who waited for that
        once must not wait again alone, nor whoever came meanwhile once more behind them. They all get that error.
        """
        place = _Place(item)
        if self._leader != place.thread:  # else `write` has set this off: a hook after the commit, say
            self._take_part(place)
        if place.has_result:
            result: Result = place.result
            return result
        if place.error is not None:
            raise place.error
        [result] = self._write([item])
        return result

    def _take_part(self, place: _Place[Item]) -> None:
        with self._door:
            self._waiting.append(place)
            if self._leader is None:
                self._leader = place.thread
                place.wake.release()
            elif len(self._waiting) >= self._expected:
                self._enough.set()
        try:
            place.wake.acquire()
            while not place.is_settled:
                self._lead()
        finally:
            if not place.is_settled or self._leader == place.thread:
                self._leave(place)

    def _lead(self) -> None:
        """Write the longest waiting."""
        if len(self._waiting) < self._expected:
            self._enough.clear()
            if len(self._waiting) < self._expected:  # still: one who came in between has said so in vain
                self._enough.wait(PATIENCE)
        with self._door:
            places = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
        self._expected = len(places)
        began = monotonic()
        try:
            results = self._write([place.item for place in places])
        except Exception as error:  # (whatever it is: each meets its own error again, alone)
            if isinstance(error, OperationalError | InterfaceError) and monotonic() - began >= LOST_AFTER:
                with self._door:
                    places += self._waiting
                    self._waiting.clear()
                for place in places:
                    place.error = error
            elif len(places) == 1:  # the one who leads
                raise
        else:
            for place, result in zip(places, results, strict=True):
                place.result, place.has_result = result, True
        finally:
            for place in places:
                place.is_settled = True
                place.wake.release()

    def _leave(self, place: _Place[Item]) -> None:
        """Give the turn to the longest waiting. Whoever was interrupted while it waited is not written any more."""
        with self._door:
            if not place.is_settled and place in self._waiting:
                self._waiting.remove(place)
            if self._leader == place.thread:
                self._leader = self._waiting[0].thread if self._waiting else None
                if self._waiting:
                    self._waiting[0].wake.release()
