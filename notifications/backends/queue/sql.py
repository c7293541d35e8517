"""Every raw statement of the queue, for PostgreSQL and for SQLite. Nothing else in the room speaks SQL but `texts.py`
and `planned.py`.

Note [Whose clock]: what is due, and how long a lease holds, is read from the database's clock, so that hosts
whose clocks differ agree. SQLite has no host but this one.
"""

import functools
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from .entries import Entry, NewEntry, priority_of
from .texts import (
    CHANNEL,
    KEYS,
    PG_CLAIM,
    PG_FINISH,
    PG_INSERT,
    PG_INSERT_ONE,
    PG_LEASE,
    SQLITE_DUE,
    SQLITE_RESULT,
    TASK_NAMES,
)

MICROSECOND = timedelta(microseconds=1)
ROWS_A_STATEMENT = 1000  # SQLite takes 32 766 parameters a statement


class QueueTable:
    """django-q2's table `django_q_ormq` on one database, and the results in `django_q_task` beside it."""

    def __init__(self, using: str) -> None:
        self.using = using

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.using]

    @property
    def is_postgresql(self) -> bool:
        return self.connection.vendor == "postgresql"

    def keys(self, queue_name: str) -> list[str]:
        """The keys of this queue that have rows, highest priority first."""
        found = [(priority_of(key, queue_name), key) for (key,) in self._rows(KEYS)]
        ranked = [(priority, key) for priority, key in found if priority is not None]
        return [key for _, key in sorted(ranked, reverse=True)]

    def insert(self, entries: Sequence[NewEntry], *, notify: bool) -> list[int]:
        """Write the rows, each due at its lock. Give their primary keys, in the order of `entries`."""
        if self.is_postgresql and len(entries) == 1:
            [entry] = entries
            return [self._rows(PG_INSERT_ONE, [entry.key, entry.payload, entry.lock, notify])[0][0]]
        if self.is_postgresql:
            given = [{"key": e.key, "payload": e.payload, "lock": e.lock and str(e.lock)} for e in entries]
            channel = [CHANNEL] * notify
            return sorted(pk for (pk,) in self._rows(PG_INSERT, [len(given), json.dumps(given), channel]))
        lock, pks = timezone.now() - MICROSECOND * len(entries), []
        for part in batched(entries, ROWS_A_STATEMENT):
            values = ", ".join(["(%s, %s, %s)"] * len(part))
            parameters = []
            for entry in part:
                lock += MICROSECOND
                parameters += [entry.key, entry.payload, self._text(entry.lock or lock)]
            statement = f"INSERT INTO django_q_ormq (key, payload, lock) VALUES {values} RETURNING id"  # noqa: S608
            pks += [row[0] for row in self._rows(statement, parameters)]
        return pks

    def claim(self, key: str, limit: int, lease: timedelta) -> list[Entry]:
        """Take up to `limit` due entries of `key`, the longest waiting first. No other cluster gets them."""
        if self.is_postgresql:
            with self.connection.cursor() as cursor:
                claimed = [Entry(*row) for row in PG_CLAIM.rows(cursor, [key, limit, lease])]
            claimed.sort(key=lambda entry: (entry.place, entry.pk))
            return claimed
        now = timezone.now()
        if not self._rows(SQLITE_DUE, [key, self._text(now), 1]):  # a look costs no write lock
            return []
        until = (now + lease).replace(microsecond=0) + timedelta(seconds=1)
        with transaction.atomic(using=self.using):
            rows = self._rows(SQLITE_DUE, [key, self._text(now), limit])
            self._lock([row[0] for row in rows], until)
        return [Entry(pk, payload, self._datetime(lock), until) for pk, payload, lock in rows]

    def next_lock(self, key: str) -> datetime | None:
        """When the next entry of `key` that is not due becomes due (a lease that ends counts as one)."""
        return self._moment(
            "SELECT lock FROM django_q_ormq WHERE key = %s AND lock > {now} ORDER BY lock LIMIT 1", key
        )

    def waiting_since(self, key: str) -> datetime | None:
        """The lock of the longest waiting due entry of `key`."""
        return self._moment(
            "SELECT lock FROM django_q_ormq WHERE key = %s AND lock <= {now} ORDER BY lock LIMIT 1", key
        )

    def renew(self, pks: Sequence[int], lease: timedelta) -> datetime:
        """Hold these entries for `lease` from now. Gives the new end of the lease."""
        if self.is_postgresql:
            until: datetime
            [(until,)] = self._rows(f"SELECT {PG_LEASE}", [lease])
        else:
            until = (timezone.now() + lease).replace(microsecond=0) + timedelta(seconds=1)
        self._lock(pks, until)
        return until

    def restore(self, entries: Iterable[tuple[int, datetime, datetime]]) -> None:
        """Give entries back: `(pk, lease, lock)`. One whose lease ended and was taken by others stays theirs."""
        rows = [(pk, self._text(lease), self._text(lock)) for pk, lease, lock in entries]
        if not rows:
            return
        if self.is_postgresql:
            self._execute(
                "UPDATE django_q_ormq q SET lock = given.lock "
                "FROM unnest(%s::int[], %s::timestamptz[], %s::timestamptz[]) AS given(id, lease, lock) "
                "WHERE q.id = given.id AND q.lock = given.lease",
                [list(column) for column in zip(*rows, strict=True)],
            )
        else:
            with transaction.atomic(using=self.using), self.connection.cursor() as cursor:
                cursor.executemany(
                    "UPDATE django_q_ormq SET lock = %s WHERE id = %s AND lock = %s",
                    [(lock, pk, lease) for pk, lease, lock in rows],
                )

    def rewrite(self, pk: int, payload: str, lock: datetime) -> None:
        self._execute(
            "UPDATE django_q_ormq SET payload = %s, lock = %s WHERE id = %s", [payload, self._text(lock), pk]
        )

    def read(self, pks: Sequence[int]) -> list[tuple[int, str, datetime | None]]:
        """`(pk, payload, lock)` of those that exist."""
        statement = f"SELECT id, payload, lock FROM django_q_ormq WHERE {self._among}"  # noqa: S608
        rows = self._rows(statement, [self._ids(pks)])
        return [(pk, payload, self._datetime(lock) if lock else None) for pk, payload, lock in rows]

    def existing(self, pks: Sequence[int]) -> set[int]:
        rows = self._rows(f"SELECT id FROM django_q_ormq WHERE {self._among}", [self._ids(pks)])  # noqa: S608
        return {row[0] for row in rows}

    def delete(self, pks: Sequence[int]) -> None:
        self._execute(f"DELETE FROM django_q_ormq WHERE {self._among}", [self._ids(pks)])  # noqa: S608

    def finish(self, pks: Sequence[int], results: Sequence[tuple[Any, ...]]) -> None:
        """Delete entries and write their results (columns as in TASK_COLUMNS): both or neither."""
        if not results:
            self.delete(pks)
        elif self.is_postgresql:
            # An entry that is there twice (a backup put back, say) has one row, which a statement may write once only.
            rows = {result[0]: dict(zip(TASK_NAMES, result, strict=True)) for result in results}
            given = json.dumps(list(rows.values()), default=datetime.isoformat)
            self._execute(PG_FINISH, [list(pks), given])
        else:
            text = functools.cache(self._text)  # calls that were merged share their times
            with transaction.atomic(using=self.using), self.connection.cursor() as cursor:
                cursor.executemany(
                    SQLITE_RESULT, [(*r[:9], text(r[9]), text(r[10]), *r[11:]) for r in results]
                )
                self.delete(pks)

    @property
    def _among(self) -> str:
        return "id = ANY(%s)" if self.is_postgresql else "id IN (SELECT value FROM json_each(%s))"

    def _ids(self, pks: Sequence[int]) -> Any:
        return list(pks) if self.is_postgresql else f"[{','.join(map(str, pks))}]"

    def _lock(self, pks: Sequence[int], until: datetime) -> None:
        self._execute(
            f"UPDATE django_q_ormq SET lock = %s WHERE {self._among}",  # noqa: S608
            [self._text(until), self._ids(pks)],
        )

    def _moment(self, statement: str, key: str) -> datetime | None:
        if self.is_postgresql:
            rows = self._rows(statement.format(now="statement_timestamp()"), [key])
        else:
            rows = self._rows(statement.format(now="%s"), [key, self._text(timezone.now())])
        return self._datetime(rows[0][0]) if rows else None

    def _text(self, moment: datetime) -> Any:
        return self.connection.ops.adapt_datetimefield_value(moment)

    def _datetime(self, value: datetime | str) -> datetime:
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return datetime.fromisoformat(value).replace(tzinfo=self.connection.timezone).astimezone(UTC)

    def _rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def _execute(self, statement: str, parameters: Sequence[Any]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
