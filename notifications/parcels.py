"""What waits for a thread, in parcels: for channels that send several on one connection."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import batched

TOGETHER = 10  # notifications of a parcel: so many wait behind a slow one
SHARE = 5  # parcels for which there is a thread at the beginning


class Parcels:
    """Ids that nobody has claimed yet. Any thread takes from here."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.waiting = deque(batched(ids, TOGETHER))
        self.in_hand = 0  # taken, and not yet claimed
        self.working = 0  # threads, which go on with what is waiting
        self.changed = threading.Condition()

    @property
    def threads(self) -> int:
        """How many to begin with, or to add."""
        return -(-len(self.waiting) // SHARE) or 1

    @contextmanager
    def taken(self, count: int) -> Iterator[Sequence[str]]:
        """The ids of up to `count` parcels, to claim them in the block. If it raises, they are waiting again."""
        with self.changed:
            parcels = [self.waiting.popleft() for _ in range(min(count, len(self.waiting)))]
            self.in_hand += len(parcels)
        claimed = False
        try:
            yield [id for parcel in parcels for id in parcel]
            claimed = True
        finally:
            with self.changed:
                self.in_hand -= len(parcels)
                if not claimed:
                    self.waiting.extendleft(reversed(parcels))
                self.changed.notify_all()

    def begin(self) -> None:
        """A thread begins, which will `end`."""
        with self.changed:
            self.working += 1

    def end(self) -> None:
        with self.changed:
            self.working -= 1
            self.changed.notify_all()

    def are_claimed(self, *, within: float) -> bool:
        """Wait until none is left, or no thread is there to take it; at most so many seconds. Whether none is left."""
        with self.changed:
            self.changed.wait_for(lambda: self._is_over() or not (self.working or self.in_hand), within)
            return self._is_over()

    def _is_over(self) -> bool:
        return not (self.waiting or self.in_hand)
