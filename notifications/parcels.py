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
        self.begun = False  # by a thread, which goes on with what is waiting
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

    def are_claimed(self, *, within: float) -> bool:
        """Wait until none is left, at most so many seconds."""
        with self.changed:
            return self.changed.wait_for(lambda: not (self.waiting or self.in_hand), within)
