"""PostgreSQL: rows travel as arrays, and one statement with CTEs records a whole batch.

Note [Locks in one order]: whoever locks several rows takes them ordered by id. Two workers that hold
overlapping batches (entries may be doubled) then wait for each other; in any other order they may deadlock.

Note [By id, whatever the statistics say]: statistics that were taken when nothing waited promise that the small index
of what is queued holds one row. By them PostgreSQL would read that index, with all of a backlog in it, for each batch,
until a tenth of the table has changed and it looks again. `status || ''` is no condition of any index, so the ids are
looked up.

Note [Planned once]: an INSERT of a request costs the server 220 µs, 135 of them to read and plan it. So it is prepared,
where the option `prepare_threshold` allows that. Nothing else is: a plan is kept for as long as the statistics are, and
one that looks rows up may have been made when the table had a single page, to read the whole of it.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.apps import apps
from django.db import connection

from ..backends.queue.entries import NewEntry
from ..backends.queue.texts import PG_ENTRY, PG_WAKE
from .rows import ATTEMPT, DETAILS, INSERTED, NOTIFICATION, SUPPRESSION, Claim, Record, seconds

# New rows travel as one JSON text: for the few of a request psycopg makes fifteen arrays in the time of the rest.
TYPES = {"id": "uuid", "resend_of": "uuid", "due_at": "timestamptz"}
DUE = "coalesce(new.due_at, statement_timestamp())"


def _inserting(owner: str, source: str, **columns: str) -> str:
    """The INSERT of rows from JSON; `columns` are what is not simply the row's, `owner` is the type of a user's key."""
    types = TYPES | {"owner_id": owner}
    columns |= {
        "due_at": DUE,
        "next_attempt_at": DUE,
        "created_at": "statement_timestamp()",
        "attempt_count": "0",
    }
    columns = {name: f"new.{name}" for name in INSERTED} | columns
    return f"""
        INSERT INTO {NOTIFICATION} ({", ".join(columns)}) SELECT {", ".join(columns.values())}
        FROM {source} json_to_recordset(%s::json)
            AS new ({", ".join(f"{name} {types.get(name, 'text')}" for name in INSERTED)})
        RETURNING created_at
    """  # noqa: S608 (constants, here and below)


@cache
def _inserts() -> tuple[str, str]:
    """The two INSERTs, made for this project's users. The second is of rows and the entry they share, in one statement:
    alone it is a transaction, without BEGIN and COMMIT and their round trips."""
    model = apps.get_model("notifications", "Notification")
    owner = str(model._meta.get_field("owner").db_type(connection))  # noqa: SLF001 (a documented API)
    enqueued = _inserting(owner, "entry,", task_id="new.task_id || '-' || entry.id")
    return _inserting(owner, ""), f"{PG_ENTRY}{enqueued}, task_id, {PG_WAKE}"


# lower() in the collation "C" folds ASCII and nothing else, as the stored addresses are. "default" is the index's.
LISTED = f"""
    FROM {SUPPRESSION} s
    WHERE s.address = lower(n.recipient COLLATE "C") COLLATE "default" AND s.category IN ('', n.category)
"""
DUE_NOW = "n.status || '' = 'queued' AND n.next_attempt_at <= clock_timestamp()"
CLAIMED = """
    n.id::text, recipient, subject, message, channel, created_at, due_at, coalesce(claimed_at, due_at), attempt_count,
    request_id, html, category
"""
CLAIM = f"""
    WITH due AS (
        SELECT n.id, CASE WHEN n.channel = ANY(%s::text[]) THEN (
            SELECT 'suppressed: ' || s.reason {LISTED} ORDER BY s.category LIMIT 1
        ) END AS reason
        FROM {NOTIFICATION} n WHERE n.id = ANY(%s::uuid[]) AND {DUE_NOW} ORDER BY n.id FOR UPDATE OF n
    )
    UPDATE {NOTIFICATION} n SET
        status = CASE WHEN due.reason IS NULL THEN 'sending' ELSE 'cancelled' END,
        reason = coalesce(due.reason, n.reason),
        attempt_count = n.attempt_count + CASE WHEN due.reason IS NULL THEN 1 ELSE 0 END,
        claimed_at = CASE WHEN due.reason IS NULL THEN clock_timestamp() ELSE n.claimed_at END,
        lease_expires_at = CASE WHEN due.reason IS NULL THEN clock_timestamp() + %s::interval END,
        next_attempt_at = CASE WHEN due.reason IS NULL THEN n.next_attempt_at END,
        finished_at = CASE WHEN due.reason IS NULL THEN NULL ELSE clock_timestamp() END
    FROM due WHERE n.id = due.id RETURNING {CLAIMED}, coalesce(due.reason, '')
"""  # noqa: S608
# What comes alone is locked in no order, and joined with nothing: half of the time. Where it finds nothing (it is not
# due, or its recipient is on the list), the other one says what there is.
CLAIM_ONE = f"""
    UPDATE {NOTIFICATION} n SET status = 'sending', attempt_count = attempt_count + 1, claimed_at = clock_timestamp(),
        lease_expires_at = clock_timestamp() + %s::interval, finished_at = NULL
    WHERE n.id = %s::uuid AND {DUE_NOW} AND NOT (n.channel = ANY(%s::text[]) AND EXISTS (SELECT {LISTED}))
    RETURNING {CLAIMED}, ''
"""  # noqa: S608

RENEW = f"""
    UPDATE {NOTIFICATION} SET lease_expires_at = clock_timestamp() + %s::interval
    WHERE id IN (
        SELECT n.id FROM {NOTIFICATION} n
        JOIN unnest(%s::uuid[], %s::int[]) AS held (id, attempt)
        ON n.id = held.id AND n.attempt_count = held.attempt
        WHERE n.status || '' = 'sending' ORDER BY n.id FOR UPDATE OF n
    )
"""  # noqa: S608

COLUMNS = [
    "id",
    "attempt",
    "started_at",
    "finished_at",
    "outcome",
    "status",
    "next_attempt_at",
    "task_id",
    "reason",
    *DETAILS,
]
RECORD = f"""
    WITH done AS (
        SELECT * FROM unnest(
            %s::uuid[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[],
            %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::float8[], %s::text[]
        ) AS done ({", ".join(COLUMNS)})
    ), ours AS (
        SELECT n.id FROM {NOTIFICATION} n JOIN done ON n.id = done.id AND n.attempt_count = done.attempt
        WHERE n.status || '' = 'sending' ORDER BY n.id FOR UPDATE OF n
    ), moved AS (
        UPDATE {NOTIFICATION} n SET status = done.status, lease_expires_at = NULL,
            next_attempt_at = done.next_attempt_at,
            task_id = CASE WHEN done.task_id = '' THEN n.task_id ELSE done.task_id END,
            reason = CASE WHEN done.reason = '' THEN n.reason ELSE done.reason END,
            finished_at = CASE WHEN done.status IN ('queued', 'unknown') THEN NULL ELSE done.finished_at END
        FROM done JOIN ours ON ours.id = done.id WHERE n.id = done.id
        RETURNING n.id
    )
    INSERT INTO {ATTEMPT} (notification_id, number, started_at, finished_at, outcome, {", ".join(DETAILS)})
    SELECT done.id, done.attempt, done.started_at, done.finished_at, done.outcome,
        {", ".join(f"done.{name}" for name in DETAILS)}
    FROM done JOIN moved ON moved.id = done.id
    RETURNING notification_id::text
"""  # noqa: S608


def insert(cursor: Any, rows: Sequence[Any]) -> datetime:
    _plan_once(cursor)
    cursor.execute(_inserts()[0], [_json(rows)])
    created_at: datetime = cursor.fetchone()[0]
    return created_at


def insert_enqueued(
    cursor: Any, rows: Sequence[Any], entry: NewEntry, *, notify: bool
) -> tuple[int, datetime]:
    _plan_once(cursor)
    cursor.execute(_inserts()[1], [entry.key, entry.payload, entry.lock, _json(rows), notify])
    created_at, task_id, _ = cursor.fetchone()
    return int(task_id.rpartition("-")[2]), created_at


def _plan_once(cursor: Any) -> None:
    """Note [Planned once]. Django's own cursors put the values into the text, and what differs cannot be prepared."""
    from psycopg import Cursor  # not for those who have no PostgreSQL

    raw = cursor.connection
    if raw.prepare_threshold is not None:
        cursor.cursor = Cursor(raw)


def _json(rows: Sequence[Any]) -> str:
    values = [{name: getattr(row, name) for name in INSERTED} for row in rows]
    return json.dumps(values, default=str)  # ids and times


def claim(cursor: Any, ids: Sequence[str], lease: timedelta, suppressible: Sequence[str]) -> list[Claim]:
    if len(ids) == 1:
        cursor.execute(CLAIM_ONE, [seconds(lease), ids[0], list(suppressible)])
        if row := cursor.fetchone():
            return [Claim(*row)]
    cursor.execute(CLAIM, [list(suppressible), list(ids), seconds(lease)])
    return [Claim(*row) for row in cursor.fetchall()]


def renew(cursor: Any, claims: Sequence[tuple[str, int]], lease: timedelta) -> None:
    ids, attempts = zip(*claims, strict=True)
    cursor.execute(RENEW, [seconds(lease), list(ids), list(attempts)])


def record(cursor: Any, records: Sequence[Record]) -> set[str]:
    columns = [[getattr(record, name) for record in records] for name in COLUMNS]
    cursor.execute(RECORD, columns)
    return {id for (id,) in cursor.fetchall()}
