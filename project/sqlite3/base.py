"""Django's SQLite backend, except that whoever waits for the writer waits in short steps.

Note [Short steps]: SQLite has one writer at a time, and who finds it taken sleeps for 1, 2, 5, … up to 100 ms between
two looks. A transaction of ours holds it for less than one. So a web process slept through one free moment after
another while workers drained a backlog, and its clients waited for half a second. Here the looks are 0.2 to 2 ms
apart. The limit is the same: the option `timeout`, in seconds.
"""

import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from time import monotonic, sleep
from typing import Any

from django.db.backends.sqlite3 import base

FIRST_STEP, LONGEST_STEP = 0.0002, 0.002  # seconds
TIMEOUT = 5.0  # seconds, sqlite3's own default
REMEMBERED = 10_000  # characters; longer statements are seldom the same twice


class DatabaseWrapper(base.DatabaseWrapper):
    """Raises OperationalError ("database is locked") when the writer was not free within the timeout."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        connection: sqlite3.Connection = super().get_new_connection(conn_params)
        connection.execute("PRAGMA busy_timeout = 0")  # from now on the cursors wait
        return connection

    def create_cursor(self, name: str | None = None) -> "CursorWrapper":
        cursor: CursorWrapper = self.connection.cursor(factory=CursorWrapper)
        cursor.timeout = self.settings_dict["OPTIONS"].get("timeout", TIMEOUT)
        return cursor


class CursorWrapper(base.SQLiteCursorWrapper):
    """Waits where a statement, BEGIN among them, needs the writer. Inside a transaction it has it."""

    timeout = TIMEOUT

    def execute(self, query: str, params: Any = None) -> Any:
        deadline, step = 0.0, FIRST_STEP
        while True:
            try:
                return super().execute(query, params)
            except sqlite3.OperationalError as error:
                deadline = deadline or monotonic() + self.timeout
                if not _is_busy(error) or self.connection.in_transaction or monotonic() > deadline:
                    raise
            sleep(step)
            step = min(1.5 * step, LONGEST_STEP)

    def convert_query(self, query: Any, *, param_names: Any = None) -> str:
        if param_names is None and len(query) < REMEMBERED:
            return _converted(query)
        converted: str = super().convert_query(query, param_names=param_names)
        return converted

    def executemany(self, query: str, param_list: Iterable[Any]) -> Any:
        if self.connection.in_transaction:
            return super().executemany(query, param_list)
        for params in param_list:  # outside of one each is a transaction by itself, and waits by itself
            self.execute(query, params)
        return self


@lru_cache(maxsize=256)
def _converted(query: str) -> str:
    """Django's `%s` as SQLite's `?`. Two regular expressions take longer than many a statement."""
    return str(base.FORMAT_QMARK_REGEX.sub("?", query)).replace("%%", "%")  # as Django does


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # an extended code's lowest byte is the code
