"""Fills a database with what a service has left behind: finished notifications, their attempts, and what waits.

In SQL, because ten million rows are not made one by one. They end over the last DAYS days, evenly; 2 of 100 failed,
1 was cancelled, half have an owner, and a recipient has ten of them.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import batched

from django.db import connection
from django.utils import timezone

from notifications import tasks
from notifications.backends.queue import package
from notifications.backends.queue.broker import queue_table
from notifications.backends.queue.entries import NewEntry

DAYS = 60
ROWS_A_STATEMENT = 250_000
DELIVER = "notifications.tasks.deliver.call"
MESSAGE = (
    "Your parcel has left our house. It arrives tomorrow between nine and twelve. Thank you for your order."
)

# What differs: the numbers 1…n, and the text of an id and of a moment, made from a number.
DIALECTS = {
    "postgresql": {
        "numbers": "generate_series({first}::bigint, {last}::bigint) AS numbers(i)",
        "id": "(lpad(to_hex(({at} * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(i % 4096), 3, '0') || '8' || "
        "lpad(to_hex(i), 15, '0'))",
        "uuid": "{id}::uuid",
        "moment": "to_timestamp({at})",
        "text": "::text",
        "true": "true",
    },
    "sqlite": {
        "numbers": "(WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
        "SELECT i FROM n) AS numbers",
        "id": "printf('%012x7%03x8%015x', CAST({at} * 1000 AS INTEGER), i %% 4096, i)",
        "uuid": "{id}",
        "moment": "strftime('%Y-%m-%d %H:%M:%f000', {at}, 'unixepoch')",
        "text": "",
        "true": "1",
    },
}
OUTCOME = "CASE WHEN i % 50 = 0 THEN 'failed' WHEN i % 100 = 1 THEN 'cancelled' ELSE 'sent' END"
NOTIFICATIONS = """
    INSERT INTO notifications_notification (id, recipient, subject, message, html, category, channel, via, status,
        created_at, due_at, next_attempt_at, finished_at, attempt_count, claimed_at, task_id, owner_id, dedupe_key,
        request_id, reason)
    SELECT {uuid}, 'user' || (i * 7919 % {recipients}){text} || '@example.com', 'Your parcel', '{message}', '', '',
        'log', 'queue', {status}, {created}, {created}, {next}, {finished}, {attempts}, {claimed},
        {id} || '-' || i{text}, CASE WHEN i % 2 = 0 THEN {owner} END, '', {id}, ''
    FROM {numbers}
"""
ATTEMPTS = """
    INSERT INTO notifications_attempt (notification_id, number, started_at, finished_at, outcome, error, code, response,
        phase, duration, sent_to)
    SELECT {uuid}, 1, {claimed}, {finished}, {status}, CASE WHEN i % 50 = 0 THEN 'No such mailbox.' ELSE '' END,
        CASE WHEN i % 50 = 0 THEN '550' ELSE '' END, '', '', 0.05, ''
    FROM {numbers} WHERE i % 100 <> 1
"""
RESULTS = """
    INSERT INTO django_q_task (id, name, func, args, kwargs, result, cluster, started, stopped, success, attempt_count)
    SELECT {id}, '{deliver}', '{deliver}', 'gAWVMwAAAAAAAABdlF2UjCQ' || {id} || 'lGFhLg==', 'gAV9lC4=', NULL, 'default',
        {claimed}, {finished}, {true}, 1
    FROM {numbers}
"""


def finished(rows: int, owner: int) -> None:
    """Notifications that are over, with an attempt and a task's result each."""
    now = timezone.now().timestamp()
    at = f"({now} - {DAYS * 86_400.0} * ({rows} - i + 0.5) / {rows})"
    values = {
        "status": OUTCOME,
        "next": "NULL",
        "attempts": "1",
        "owner": owner,
        "recipients": max(rows // 10, 100),
    }
    for first, last in _steps(rows):
        for statement in (NOTIFICATIONS, ATTEMPTS, RESULTS):
            _execute(statement, at, first, last, values, finished=f"({at} + 0.2)")


def waiting(rows: int, owner: int) -> None:
    """Notifications that are due, each with an entry of its own: as single requests leave them."""
    now = timezone.now()
    at = f"({now.timestamp()} - 600 + 0.0001 * i)"
    values = {"status": "'queued'", "attempts": "0", "owner": owner, "recipients": max(rows // 10, 100)}
    for first, last in _steps(rows):
        _execute(
            NOTIFICATIONS, at, first, last, values | {"finished": "NULL", "claimed": "NULL", "next": None}
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM notifications_notification WHERE status = 'queued' ORDER BY id")
        ids = [str(id) for (id,) in cursor.fetchall()]
    lock = now - timedelta(seconds=600)
    entries = [
        NewEntry(
            "default",
            package.pack(tasks.deliver, package.new_id(), [[id]], {}),
            lock + timedelta(microseconds=n),
        )
        for n, id in enumerate(ids)
    ]
    for part in batched(entries, 5000):
        queue_table().insert(list(part), notify=False)


def settle() -> None:
    """What autovacuum does by and by. SQLite has no such thing, and gets none."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def _steps(rows: int) -> Iterator[tuple[int, int]]:
    for first in range(1, rows + 1, ROWS_A_STATEMENT):
        yield first, min(first + ROWS_A_STATEMENT - 1, rows)


def _execute(statement: str, at: str, first: int, last: int, values: dict, **more: str) -> None:
    dialect = DIALECTS[connection.vendor]

    def moment(of: str) -> str:
        return dialect["moment"].replace("{at}", of)

    id = dialect["id"].replace("{at}", at)
    given = {
        "id": id,
        "uuid": dialect["uuid"].replace("{id}", id),
        "numbers": dialect["numbers"].format(first=first, last=last),
        "created": moment(at),
        "claimed": moment(f"({at} + 0.1)"),
        "message": MESSAGE,
        "deliver": DELIVER,
        "text": dialect["text"],
        "true": dialect["true"],
        **values,
    }
    if "finished" in more:
        given["finished"] = moment(more["finished"])
    if given["next"] is None:
        given["next"] = given["created"]
    with connection.cursor() as cursor:
        cursor.execute(statement.format(**given).replace("%%", "%"))
