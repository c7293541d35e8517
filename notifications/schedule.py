"""What is to be delivered at a time: how the workshop asks the corridor, which it does not know, to come back."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple


class Due(NamedTuple):
    """A notification that is to be delivered at a time, and the channel it takes."""

    id: str
    channel: str
    at: datetime


# Enqueue each for its time and say the ids of the tasks. Called inside the transaction that changes the rows.
Reschedule = Callable[[Sequence[Due]], Sequence[str]]
