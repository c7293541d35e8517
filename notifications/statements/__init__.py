"""The raw SQL of the way of a notification: insert, claim, renew and record whole batches, on both databases.

Why not the ORM: it has no UPDATE … RETURNING and no UPDATE from a list of rows, so a batch would cost a
statement for each notification; and its INSERT costs more than all the rest of a POST's SQL. Rows
travel as arrays (PostgreSQL) or one JSON text (SQLite), so the text of
a statement never changes and a batch has no limit of parameters. Times are the database's own. Ids are strings:
a batch of 500 would make 1500 UUID objects that nobody looks into.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

from django.db import connections, transaction

from ..backends.queue.entries import NewEntry
from . import postgresql, sqlite
from .rows import Claim, Record

__all__ = ["Claim", "Record", "claim", "insert", "insert_enqueued", "record", "renew"]


def insert(rows: Sequence[Any], using: str) -> datetime:
    """Write new rows (objects with the attributes `rows.INSERTED`). A `due_at` of None is now. One statement.

    Returns the database's time, which is when all of them were created. Raises what an INSERT raises.
    """
    with connections[using].cursor() as cursor:
        created_at: datetime = _dialect(using).insert(cursor, rows)
        return created_at


def insert_enqueued(
    rows: Sequence[Any], entry: NewEntry, using: str, *, notify: bool
) -> tuple[int, datetime]:
    """Write new rows and the entry of the queue that delivers them, by one statement, which needs no transaction.

    PostgreSQL only. The rows' `task_id` is the task's without its entry's key, and is stored with that. Returns the
    key, and when all was created. `notify` wakes the clusters.
    """
    with connections[using].cursor() as cursor:
        return postgresql.insert_enqueued(cursor, rows, entry, notify=notify)


def claim(ids: Sequence[str], lease: timedelta, using: str, suppressible: Sequence[str] = ()) -> list[Claim]:
    """Move what is queued and due to sending, count the attempt, take the lease. One statement.

    Ids that are unknown, not due, final or in other hands are passed over: the second run of a delivery
    changes nothing.

    Note [The claim looks at the list]: on the channels `suppressible`, what is for an address on the suppression
    list moves to cancelled instead, by the same statement, and comes back with `suppressed`. No attempt is counted,
    for none is made. So there is no moment between the look and the claim, no statement more for those who are not
    on it, and what was put on the list before a claim begins stops what it claims.
    """
    with connections[using].cursor() as cursor:
        claims: list[Claim] = _dialect(using).claim(cursor, ids, lease, suppressible)
        return claims


def renew(claims: Sequence[tuple[str, int]], lease: timedelta, using: str) -> int:
    """Push the lease of what is still ours, by id and attempt, ahead. Returns for how many it was."""
    with connections[using].cursor() as cursor:
        _dialect(using).renew(cursor, claims, lease)
        count: int = cursor.rowcount
        return count


def record(records: Sequence[Record], using: str) -> set[str]:
    """Settle attempts: new status on the notification, and one Attempt row. All of them or none.

    Returns the ids that were recorded. An id whose lease somebody else has taken over since (another
    attempt number, or no longer `sending`) is fenced off: nothing of it is written.
    """
    # One statement is a transaction by itself, without the round trips of one.
    is_one = connections[using].vendor == "postgresql"
    together = nullcontext() if is_one else transaction.atomic(using=using)
    with together, connections[using].cursor() as cursor:
        recorded: set[str] = _dialect(using).record(cursor, records)
        return recorded


def _dialect(using: str) -> ModuleType:
    return postgresql if connections[using].vendor == "postgresql" else sqlite
