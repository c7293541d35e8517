"""For tests of what is written together: whoever comes in the meantime has to wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from notifications.gathering import Gathering, _Place


@contextmanager
def somebody_writing(gathering: Gathering) -> Iterator[None]:
    """The turn is taken by this thread; at the end the longest waiting gets it."""
    place = _Place(None)
    gathering._leader = place.thread
    try:
        yield
    finally:
        gathering._leave(place)
