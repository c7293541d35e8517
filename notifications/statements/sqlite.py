"""SQLite: rows travel as one JSON text. It keeps a UUID as 32 digits, and a time as UTC without saying so."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from .rows import ATTEMPT, DETAILS, INSERTED, NOTIFICATION, SUPPRESSION, Claim, Record, seconds

FORMAT = "'%%Y-%%m-%%d %%H:%%M:%%f'"
NOW = f"strftime({FORMAT}, 'now')"

# `|| '000'`: callers filter by `created_at`, and times are compared as text. Theirs have microseconds, and '….595' is
# less than '….595000'. The other times are compared with the clock, which tells milliseconds.
DUE = f"coalesce(value ->> {len(INSERTED) - 1}, {NOW})"
INSERT = f"""
    INSERT INTO {NOTIFICATION} ({", ".join(INSERTED)}, next_attempt_at, created_at, attempt_count)
    SELECT {", ".join(f"value ->> {n}" for n in range(len(INSERTED) - 1))}, {DUE}, {DUE}, {NOW} || '000', 0
    FROM json_each(%s)
    RETURNING created_at || ''
"""  # noqa: S608 (constants, here and below)

# `|| '999'`: SQLite's clock tells milliseconds, what it is compared with has microseconds. Cut off, it would pass over
# what has just become due, and with its entry gone the row would wait for the sweep.
# `|| ''` keeps Django's converter for times away: it costs more than the rest of the row.
# lower() folds ASCII and nothing else, as the stored addresses are. `LIMIT -1`: without it SQLite puts the look at
# the list in the place of each `due.reason`, and looks seven times.
CLAIM = f"""
    UPDATE {NOTIFICATION} SET
        status = CASE WHEN due.reason IS NULL THEN 'sending' ELSE 'cancelled' END,
        reason = coalesce(due.reason, {NOTIFICATION}.reason),
        attempt_count = attempt_count + (due.reason IS NULL),
        claimed_at = CASE WHEN due.reason IS NULL THEN {NOW} ELSE claimed_at END,
        lease_expires_at = CASE WHEN due.reason IS NULL THEN strftime({FORMAT}, 'now', %s) END,
        next_attempt_at = CASE WHEN due.reason IS NULL THEN next_attempt_at END,
        finished_at = CASE WHEN due.reason IS NULL THEN NULL ELSE {NOW} END
    FROM (
        SELECT n.id, CASE WHEN n.channel IN (SELECT value FROM json_each(%s)) THEN (
            SELECT 'suppressed: ' || s.reason FROM {SUPPRESSION} AS s
            WHERE s.address = lower(n.recipient) AND s.category IN ('', n.category) ORDER BY s.category LIMIT 1
        ) END AS reason
        FROM {NOTIFICATION} AS n
        WHERE n.id IN (SELECT value FROM json_each(%s)) AND n.status = 'queued'
            AND n.next_attempt_at <= {NOW} || '999'
        LIMIT -1
    ) AS due
    WHERE {NOTIFICATION}.id = due.id
    RETURNING {NOTIFICATION}.id, recipient, subject, message, channel,
        created_at || '', due_at || '', coalesce(claimed_at, due_at) || '', attempt_count, request_id, html, category,
        CASE status WHEN 'cancelled' THEN reason ELSE '' END
"""  # noqa: S608

RENEW = f"""
    UPDATE {NOTIFICATION} SET lease_expires_at = strftime({FORMAT}, 'now', %s)
    FROM (SELECT value ->> 0 AS id, value ->> 1 AS attempt FROM json_each(%s)) AS held
    WHERE {NOTIFICATION}.id = held.id AND attempt_count = held.attempt AND status = 'sending'
"""  # noqa: S608

# The values of a row, by position: see _row().
VALUES = [
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
DONE = f"""
    SELECT {", ".join(f"value ->> {n} AS {name}" for n, name in enumerate(VALUES))} FROM json_each(%s)
"""  # noqa: S608

RECORD = f"""
    UPDATE {NOTIFICATION} SET status = done.status, lease_expires_at = NULL,
        next_attempt_at = done.next_attempt_at,
        task_id = CASE WHEN done.task_id = '' THEN {NOTIFICATION}.task_id ELSE done.task_id END,
        reason = CASE WHEN done.reason = '' THEN {NOTIFICATION}.reason ELSE done.reason END,
        finished_at = CASE WHEN done.status IN ('queued', 'unknown') THEN NULL ELSE done.finished_at END
    FROM ({DONE}) AS done
    WHERE {NOTIFICATION}.id = done.id AND attempt_count = done.attempt AND {NOTIFICATION}.status = 'sending'
    RETURNING {NOTIFICATION}.id
"""  # noqa: S608

ATTEMPTS = f"""
    INSERT INTO {ATTEMPT} (notification_id, number, started_at, finished_at, outcome, {", ".join(DETAILS)})
    SELECT id, attempt, started_at, finished_at, outcome, {", ".join(DETAILS)} FROM ({DONE})
"""  # noqa: S608


def insert(cursor: Any, rows: Sequence[Any]) -> datetime:
    values = [[getattr(row, name) for name in INSERTED] for row in rows]
    cursor.execute(INSERT, [_encoder.encode(values)])
    return _time(cursor.fetchall()[0][0])


def claim(cursor: Any, ids: Sequence[str], lease: timedelta, suppressible: Sequence[str]) -> list[Claim]:
    ids = [_hex(id) for id in ids]
    cursor.execute(CLAIM, [seconds(lease), json.dumps(list(suppressible)), json.dumps(ids)])
    return [
        Claim(
            _dashed(id),
            to,
            subject,
            text,
            channel,
            _time(created),
            _time(due),
            _time(claimed),
            attempt,
            *rest,
        )
        for id, to, subject, text, channel, created, due, claimed, attempt, *rest in cursor.fetchall()
    ]


def renew(cursor: Any, claims: Sequence[tuple[str, int]], lease: timedelta) -> None:
    cursor.execute(RENEW, [seconds(lease), json.dumps([(_hex(id), attempt) for id, attempt in claims])])


def record(cursor: Any, records: Sequence[Record]) -> set[str]:
    text = cache(_text)  # the times of a batch are few
    rows = json.dumps([_row(record, text) for record in records])
    cursor.execute(RECORD, [rows])
    recorded = {_dashed(id) for (id,) in cursor.fetchall()}
    if len(recorded) != len(records):
        rows = json.dumps([_row(record, text) for record in records if record.id in recorded])
    cursor.execute(ATTEMPTS, [rows])
    return recorded


def _row(record: Record, text: Callable[[datetime], str]) -> tuple[Any, ...]:
    return (
        _hex(record.id),
        record.attempt,
        text(record.started_at),
        text(record.finished_at),
        record.outcome,
        record.status,
        record.next_attempt_at and text(record.next_attempt_at),
        record.task_id,
        record.reason,
        *_details(record),
    )


_details = attrgetter(*DETAILS)


def _plain(value: Any) -> str:
    """What JSON does not know: ids and times."""
    return value.hex if isinstance(value, UUID) else _text(value)


_encoder = json.JSONEncoder(default=_plain)  # `dumps` would make one each time


def _hex(id: str) -> str:
    return id.replace("-", "")


def _dashed(id: str) -> str:
    return f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def _text(time: datetime) -> str:
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
