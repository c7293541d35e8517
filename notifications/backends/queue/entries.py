"""What a row of the queue's table is: its key and its lock, before it is written and after it was claimed.

Note [A lease is a whole second]: django-q2's row has one column for "scheduled for" and for "taken until".
A lease always ends on a whole second, a lock that only waits never does (unless the caller's own `run_after`
says so, which the package tells). So anybody can see from the row alone whether a worker holds it.

Note [One key a priority]: entries of priority 0 lie under the queue's own name, others under `name:priority`.
So the index (key, lock) is in the order of the work: an urgent entry is found without passing a backlog.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

SEPARATOR = ":"


def not_a_lease(moment: datetime) -> datetime:
    """The moment as a lock that only waits: see Note [A lease is a whole second]."""
    return moment.replace(microsecond=moment.microsecond | 1)


class Entry(NamedTuple):
    """A claimed row. `place` is the lock it had: what puts it back where it stood."""

    pk: int
    payload: str
    place: datetime
    lease: datetime


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A row to be. `lock` None means: due at once, by the database's clock."""

    key: str
    payload: str
    lock: datetime | None = None


def key_for(queue_name: str, priority: int) -> str:
    return f"{queue_name}{SEPARATOR}{priority}" if priority else queue_name


def priority_of(key: str, queue_name: str) -> int | None:
    """The priority of the entries under `key`, or None where the key is another queue's."""
    if key == queue_name:
        return 0
    name, separator, priority = key.rpartition(SEPARATOR)
    if not separator or name != queue_name:
        return None
    try:
        return int(priority)
    except ValueError:
        return None
