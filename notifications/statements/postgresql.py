"""PostgreSQL: rows travel as arrays, and one statement with CTEs records a whole batch.

Note [Locks in one order]: whoever locks several rows takes them ordered by id. Two workers that hold
overlapping batches (entries may be doubled) then wait for each other; in any other order they may deadlock.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from .rows import ATTEMPT, DETAILS, INSERTED, NOTIFICATION, SUPPRESSION, Claim, Record, seconds

TYPES = [
    "uuid",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "bigint",
    "text",
    "uuid",
    "text",
    "timestamptz",
]
INSERT = f"""
    INSERT INTO {NOTIFICATION} ({", ".join(INSERTED)}, next_attempt_at, created_at, attempt_count)
    SELECT {", ".join(INSERTED[:-1])}, coalesce(due_at, statement_timestamp()),
        coalesce(due_at, statement_timestamp()), statement_timestamp(), 0
    FROM unnest({", ".join(f"%s::{type}[]" for type in TYPES)}) AS new ({", ".join(INSERTED)})
    RETURNING created_at
"""  # noqa: S608 (constants, here and below)

# lower() in the collation "C" folds ASCII and nothing else, as the stored addresses are. "default" is the index's.
CLAIM = f"""
    WITH due AS (
        SELECT n.id, CASE WHEN n.channel = ANY(%s::text[]) THEN (
            SELECT 'suppressed: ' || s.reason FROM {SUPPRESSION} s
            WHERE s.address = lower(n.recipient COLLATE "C") COLLATE "default" AND s.category IN ('', n.category)
            ORDER BY s.category LIMIT 1
        ) END AS reason
        FROM {NOTIFICATION} n
        WHERE n.id = ANY(%s::uuid[]) AND n.status = 'queued' AND n.next_attempt_at <= clock_timestamp()
        ORDER BY n.id FOR UPDATE OF n
    )
    UPDATE {NOTIFICATION} n SET
        status = CASE WHEN due.reason IS NULL THEN 'sending' ELSE 'cancelled' END,
        reason = coalesce(due.reason, n.reason),
        attempt_count = n.attempt_count + CASE WHEN due.reason IS NULL THEN 1 ELSE 0 END,
        claimed_at = CASE WHEN due.reason IS NULL THEN clock_timestamp() ELSE n.claimed_at END,
        lease_expires_at = CASE WHEN due.reason IS NULL THEN clock_timestamp() + %s::interval END,
        next_attempt_at = CASE WHEN due.reason IS NULL THEN n.next_attempt_at END,
        finished_at = CASE WHEN due.reason IS NULL THEN NULL ELSE clock_timestamp() END
    FROM due WHERE n.id = due.id
    RETURNING n.id::text, recipient, subject, message, channel, created_at, due_at, coalesce(claimed_at, due_at),
        attempt_count, request_id, html, category, coalesce(due.reason, '')
"""  # noqa: S608

RENEW = f"""
    UPDATE {NOTIFICATION} SET lease_expires_at = clock_timestamp() + %s::interval
    WHERE id IN (
        SELECT n.id FROM {NOTIFICATION} n
        JOIN unnest(%s::uuid[], %s::int[]) AS held (id, attempt)
        ON n.id = held.id AND n.attempt_count = held.attempt
        WHERE n.status = 'sending' ORDER BY n.id FOR UPDATE OF n
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
        WHERE n.status = 'sending' ORDER BY n.id FOR UPDATE OF n
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
    cursor.execute(INSERT, [[getattr(row, name) for row in rows] for name in INSERTED])
    created_at: datetime = cursor.fetchone()[0]
    return created_at


def claim(cursor: Any, ids: Sequence[str], lease: timedelta, suppressible: Sequence[str]) -> list[Claim]:
    cursor.execute(CLAIM, [list(suppressible), list(ids), seconds(lease)])
    return [Claim(*row) for row in cursor.fetchall()]


def renew(cursor: Any, claims: Sequence[tuple[str, int]], lease: timedelta) -> None:
    ids, attempts = zip(*claims, strict=True)
    cursor.execute(RENEW, [seconds(lease), list(ids), list(attempts)])


def record(cursor: Any, records: Sequence[Record]) -> set[str]:
    columns = [[getattr(record, name) for record in records] for name in COLUMNS]
    cursor.execute(RECORD, columns)
    return {id for (id,) in cursor.fetchall()}
