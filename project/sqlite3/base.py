"""Django's SQLite backend, except that a transaction waits for the writer in short steps.

Note [Short steps]: SQLite has one writer at a time, and who finds it taken sleeps for 1, 2, 5, … up to 100 ms between
two looks. A transaction of ours holds it for less than one. So a web process slept through one free moment after
another while workers drained a backlog, and its clients waited for half a second. Here the looks are 0.2 to 2 ms
apart. The limit is the same: the option `timeout`, in seconds.
"""

import sqlite3
from time import monotonic, sleep

from django.db import OperationalError
from django.db.backends.sqlite3 import base

FIRST_STEP, LONGEST_STEP = 0.0002, 0.002  # seconds
TIMEOUT = 5.0  # seconds, sqlite3's own default


class DatabaseWrapper(base.DatabaseWrapper):
    """Raises OperationalError ("database is locked") when the writer was not free within the timeout."""

    def _start_transaction_under_autocommit(self) -> None:
        timeout = self.settings_dict["OPTIONS"].get("timeout", TIMEOUT)
        deadline, step = monotonic() + timeout, FIRST_STEP
        self._busy_timeout(0)
        try:
            while True:
                try:
                    super()._start_transaction_under_autocommit()  # type: ignore[misc]  # not in the stubs
                except OperationalError as error:
                    if not _is_busy(error) or monotonic() > deadline:
                        raise
                else:
                    return
                sleep(step)
                step = min(1.5 * step, LONGEST_STEP)
        finally:
            self._busy_timeout(timeout)  # single statements wait as SQLite does

    def _busy_timeout(self, seconds: float) -> None:
        self.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def _is_busy(error: OperationalError) -> bool:
    # The lowest byte of an extended code is the code.
    code: int = getattr(error.__cause__, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY
