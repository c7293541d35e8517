"""How an idle cluster hears at once of a new entry. Polling stays what correctness rests on.

PostgreSQL: NOTIFY at the commit, LISTEN in the pusher. A NOTIFY takes an instance-wide lock at the commit, so
a process sends a handful at once and then one every INTERVAL; whoever heard one keeps looking for longer
than that. SQLite: the file's `data_version` changes with every commit of another connection.
"""

import os
import threading
import time
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .texts import CHANNEL

INTERVAL = 0.05  # seconds between two NOTIFYs of one process under load
BURST = 5


class _Bucket:
    """Tokens that come back one every INTERVAL, up to BURST."""

    def __init__(self) -> None:
        self.refill()

    def refill(self) -> None:
        """As new: what a forked child begins with, for the thread that holds the lock may not be there."""
        self.lock = threading.Lock()
        self.tokens = float(BURST)
        self.at = time.monotonic()

    def has_token(self) -> bool:
        with self.lock:
            now = time.monotonic()
            self.tokens = min(BURST, self.tokens + (now - self.at) / INTERVAL)
            self.at = now
            return self.tokens >= 1

    def take(self) -> None:
        with self.lock:
            self.tokens -= 1


_bucket = _Bucket()
os.register_at_fork(after_in_child=_bucket.refill)


def may_notify() -> bool:
    return _bucket.has_token()


def count_notify_at_commit(using: str) -> None:
    """A transaction that rolls back sent nothing, so it must not silence the next."""
    transaction.on_commit(_bucket.take, using=using)


class Listener:
    """Tells whether something may have been enqueued. One for a process, with a connection of its own."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.version: int | None = None
        self.raw: Any = None
        self.fd = -1  # of `raw`, which itself no longer tells when its connection is lost

    def open(self) -> int | None:
        """Start listening. Gives a file descriptor that becomes readable, or None where one has to look."""
        if self.must_look:
            return None
        self.close()
        wrapper = _without_pool(self.using)
        with wrapper.wrap_database_errors:  # else the driver's own come through, which nobody expects
            wrapper.connect()
            raw: Any = wrapper.connection
            raw.autocommit = True
            raw.execute(f"LISTEN {CHANNEL}")
        self.raw, self.fd = raw, int(raw.fileno())
        return self.fd

    @property
    def must_look(self) -> bool:
        return connections[self.using].vendor != "postgresql"

    def heard(self) -> bool:
        """Take what has come in. On SQLite this is the look, about 5 µs."""
        if self.raw is not None:
            with connections[self.using].wrap_database_errors:
                return bool(list(self.raw.notifies(timeout=0)))
        if not self.must_look:
            return False  # the connection is lost, and not made again yet
        connections[self.using].ensure_connection()
        [version] = connections[self.using].connection.execute("PRAGMA data_version").fetchone()
        changed = version != self.version
        self.version = version
        return bool(changed)

    def close(self) -> None:
        if self.raw is not None:
            self.raw.close()
            self.raw = None


def _without_pool(using: str) -> BaseDatabaseWrapper:
    """A connection that listens for good must not be one of a pool's few."""
    wrapper = connections.create_connection(using)
    wrapper.settings_dict = {
        **wrapper.settings_dict,
        "OPTIONS": {k: v for k, v in wrapper.settings_dict["OPTIONS"].items() if k != "pool"},
    }
    return wrapper
