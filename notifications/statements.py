"""The raw SQL of the delivery: claim and record whole batches, one statement each, on SQLite and PostgreSQL.

Why not the ORM: it has no UPDATE … RETURNING and no UPDATE from a list of rows, so a batch would cost a
statement for each notification. Rows travel as arrays (PostgreSQL) or one JSON text (SQLite), so the text of
a statement never changes and a batch has no limit of parameters. Times are the database's own. Ids are strings:
a batch of 500 would make 1500 UUID objects that nobody looks into.

Note [Locks in one order]: whoever locks several rows takes them ordered by id. Two workers that hold
overlapping batches (entries may be doubled) then wait for each other; in any other order they may deadlock.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.db import connections

NOTIFICATION = "notifications_notification"
ATTEMPT = "notifications_attempt"

CLAIMED_POSTGRESQL = """
    id::text, recipient, subject, message, channel, created_at, due_at, claimed_at, attempt_count
"""
# `|| ''` keeps Django's converter for times away: it costs more than the rest of the row.
CLAIMED_SQLITE = """
    id, recipient, subject, message, channel, created_at || '', due_at || '', claimed_at || '', attempt_count
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A notification that is ours to send until the lease passes. `attempt` is the fencing token."""

    id: str
    recipient: str
    subject: str
    message: str
    channel: str
    created_at: datetime
    due_at: datetime
    claimed_at: datetime
    attempt: int


@dataclass(frozen=True, slots=True)
class Record:
    """What an attempt came to, and where its notification goes from here."""

    id: str
    attempt: int
    started_at: datetime
    finished_at: datetime
    outcome: str  # models.Outcome
    status: str  # models.Status
    error: str = ""
    next_attempt_at: datetime | None = None  # when to try again; None when it is final
    task_id: str = ""  # of the entry that will try again


def claim(ids: Sequence[str], lease: timedelta, using: str) -> list[Claim]:
    """Move what is queued and due to sending, count the attempt, take the lease. One statement.

    Ids that are unknown, not due, final or in other hands are passed over: the second run of a delivery
    changes nothing.
    """
    with connections[using].cursor() as cursor:
        if connections[using].vendor == "postgresql":
            cursor.execute(
                f"""
                UPDATE {NOTIFICATION} SET status = 'sending', attempt_count = attempt_count + 1,
                    claimed_at = clock_timestamp(), lease_expires_at = clock_timestamp() + %s::interval
                WHERE id IN (
                    SELECT id FROM {NOTIFICATION}
                    WHERE id = ANY(%s::uuid[]) AND status = 'queued' AND next_attempt_at <= clock_timestamp()
                    ORDER BY id FOR UPDATE
                )
                RETURNING {CLAIMED_POSTGRESQL}
                """,  # noqa: S608 (constants)
                [_seconds(lease), list(ids)],
            )
            return [Claim(*row) for row in cursor.fetchall()]
        cursor.execute(
            f"""
            UPDATE {NOTIFICATION} SET status = 'sending', attempt_count = attempt_count + 1,
                claimed_at = {NOW}, lease_expires_at = strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %s)
            WHERE id IN (SELECT value FROM json_each(%s)) AND status = 'queued' AND next_attempt_at <= {NOW}
            RETURNING {CLAIMED_SQLITE}
            """,  # noqa: S608
            [_seconds(lease), json.dumps([_hex(id) for id in ids])],
        )
        return [_claim(row) for row in cursor.fetchall()]


def renew(claims: Sequence[tuple[str, int]], lease: timedelta, using: str) -> int:
    """Push the lease of what is still ours ahead. Returns for how many it was."""
    with connections[using].cursor() as cursor:
        if connections[using].vendor == "postgresql":
            cursor.execute(
                f"""
                UPDATE {NOTIFICATION} SET lease_expires_at = clock_timestamp() + %s::interval
                WHERE id IN (
                    SELECT n.id FROM {NOTIFICATION} n
                    JOIN unnest(%s::uuid[], %s::int[]) AS held (id, attempt)
                    ON n.id = held.id AND n.attempt_count = held.attempt
                    WHERE n.status = 'sending' ORDER BY n.id FOR UPDATE OF n
                )
                """,  # noqa: S608
                [_seconds(lease), [id for id, _ in claims], [attempt for _, attempt in claims]],
            )
        else:
            cursor.execute(
                f"""
                UPDATE {NOTIFICATION} SET lease_expires_at = strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %s)
                FROM (SELECT value ->> 0 AS id, value ->> 1 AS attempt FROM json_each(%s)) AS held
                WHERE {NOTIFICATION}.id = held.id AND attempt_count = held.attempt AND status = 'sending'
                """,  # noqa: S608
                [_seconds(lease), json.dumps([(_hex(id), attempt) for id, attempt in claims])],
            )
        count: int = cursor.rowcount
        return count


def record(records: Sequence[Record], using: str) -> set[str]:
    """Settle attempts: new status on the notification, one Attempt row. To be called inside a transaction.

    Returns the ids that were recorded. An id whose lease somebody else has taken over since (another
    attempt number, or no longer `sending`) is fenced off: nothing of it is written.
    """
    with connections[using].cursor() as cursor:
        if connections[using].vendor == "postgresql":
            cursor.execute(RECORD_POSTGRESQL, _columns(records))
            return {row[0] for row in cursor.fetchall()}
        text = cache(_text)  # the times of a batch are few
        rows = json.dumps([_sqlite_row(record, text) for record in records])
        cursor.execute(RECORD_SQLITE, [rows])
        recorded = {_dashed(row[0]) for row in cursor.fetchall()}
        if len(recorded) != len(records):
            rows = json.dumps([_sqlite_row(record, text) for record in records if record.id in recorded])
        cursor.execute(ATTEMPTS_SQLITE, [rows])
        return recorded


NOW = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"

RECORD_POSTGRESQL = f"""
    WITH done AS (
        SELECT * FROM unnest(
            %s::uuid[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[], %s::text[],
            %s::timestamptz[], %s::text[]
        ) AS done (id, attempt, started_at, finished_at, outcome, status, error, next_attempt_at, task_id)
    ), ours AS (
        SELECT n.id FROM {NOTIFICATION} n JOIN done ON n.id = done.id AND n.attempt_count = done.attempt
        WHERE n.status = 'sending' ORDER BY n.id FOR UPDATE OF n
    ), moved AS (
        UPDATE {NOTIFICATION} n SET status = done.status, lease_expires_at = NULL,
            next_attempt_at = done.next_attempt_at,
            task_id = CASE WHEN done.task_id = '' THEN n.task_id ELSE done.task_id END,
            finished_at = CASE WHEN done.status = 'queued' THEN NULL ELSE done.finished_at END
        FROM done JOIN ours ON ours.id = done.id WHERE n.id = done.id
        RETURNING n.id
    )
    INSERT INTO {ATTEMPT} (notification_id, number, started_at, finished_at, outcome, error)
    SELECT done.id, done.attempt, done.started_at, done.finished_at, done.outcome, done.error
    FROM done JOIN moved ON moved.id = done.id
    RETURNING notification_id::text
"""  # noqa: S608

# The values of a row, by position: see _sqlite_row().
DONE_SQLITE = """
    SELECT value ->> 0 AS id, value ->> 1 AS attempt, value ->> 2 AS started_at, value ->> 3 AS finished_at,
        value ->> 4 AS outcome, value ->> 5 AS status, value ->> 6 AS error, value ->> 7 AS next_attempt_at,
        value ->> 8 AS task_id
    FROM json_each(%s)
"""

RECORD_SQLITE = f"""
    UPDATE {NOTIFICATION} SET status = done.status, lease_expires_at = NULL,
        next_attempt_at = done.next_attempt_at,
        task_id = CASE WHEN done.task_id = '' THEN {NOTIFICATION}.task_id ELSE done.task_id END,
        finished_at = CASE WHEN done.status = 'queued' THEN NULL ELSE done.finished_at END
    FROM ({DONE_SQLITE}) AS done
    WHERE {NOTIFICATION}.id = done.id AND attempt_count = done.attempt AND {NOTIFICATION}.status = 'sending'
    RETURNING {NOTIFICATION}.id
"""  # noqa: S608

ATTEMPTS_SQLITE = f"""
    INSERT INTO {ATTEMPT} (notification_id, number, started_at, finished_at, outcome, error)
    SELECT id, attempt, started_at, finished_at, outcome, error FROM ({DONE_SQLITE})
"""  # noqa: S608


def _seconds(lease: timedelta) -> str:
    """An interval for PostgreSQL, a modifier of strftime() for SQLite."""
    return f"+{lease.total_seconds()} seconds"


def _claim(row: Sequence[Any]) -> Claim:
    """SQLite knows neither UUIDs nor times: Django keeps 32 digits of the one, UTC without saying so of the other."""
    id, recipient, subject, message, channel, created_at, due_at, claimed_at, attempt = row
    return Claim(
        _dashed(id),
        recipient,
        subject,
        message,
        channel,
        _time(created_at),
        _time(due_at),
        _time(claimed_at),
        attempt,
    )


def _hex(id: str) -> str:
    return id.replace("-", "")


def _dashed(id: str) -> str:
    return f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _columns(records: Sequence[Record]) -> list[list[Any]]:
    return [
        [getattr(record, name) for record in records]
        for name in (
            "id",
            "attempt",
            "started_at",
            "finished_at",
            "outcome",
            "status",
            "error",
            "next_attempt_at",
            "task_id",
        )
    ]


def _sqlite_row(record: Record, text: Callable[[datetime], str]) -> tuple[Any, ...]:
    return (
        _hex(record.id),
        record.attempt,
        text(record.started_at),
        text(record.finished_at),
        record.outcome,
        record.status,
        record.error,
        record.next_attempt_at and text(record.next_attempt_at),
        record.task_id,
    )


def _text(time: datetime) -> str:
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
