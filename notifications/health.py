"""Whether this service can do its work: the database, its schema, and somebody who takes from the queue."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.tasks import default_task_backend, task_backends

from .clock import database_now

# A worker that has not been heard of for so long counts as gone.
MAX_SILENCE = timedelta(seconds=30)

OK = "ok"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    worker: str
    seen_at: datetime


def heartbeats() -> list[Heartbeat] | None:
    """When each worker of the queue was last heard of. None: this backend has no workers to hear of.

    A backend that has some says so with a method `heartbeats()`, which gives pairs of name and time.
    """
    source = getattr(default_task_backend, "heartbeats", None)
    if source is None:
        return None
    pairs: Iterable[tuple[str, datetime]] = source()
    return [Heartbeat(worker, seen_at) for worker, seen_at in pairs]


def worker_command() -> str:
    """What starts a worker of the queue. A backend whose workers are others says so with this attribute."""
    return str(getattr(default_task_backend, "worker_command", "manage.py qcluster"))


def is_heard(beats: Iterable[datetime], now: datetime) -> bool:
    """Whether any of these moments of the database's clock is so near that its worker counts as alive."""
    return any(now - seen_at < MAX_SILENCE for seen_at in beats)


def degraded() -> dict[str, str]:
    """What does not work, by alias of TASKS, while everything is accepted all the same. Empty: nothing.

    A backend that may have such a state says so with a method `degraded()`, which gives a sentence or None.
    """
    found = {}
    for backend in task_backends.all():
        if hasattr(backend, "degraded") and (reason := backend.degraded()):
            found[backend.alias] = reason
    return found


def failures() -> dict[str, str]:
    """What is not as it must be, by name, with what to do. Empty: ready."""
    try:
        if only_reads(DEFAULT_DB_ALIAS):
            return {"database": "It only reads: a standby, or it was told so."}
        if not _migrated():
            return {"migrations": "Some are not applied: run manage.py migrate."}
        heard, now = heartbeats(), database_now()
    except DatabaseError as error:
        return {"database": type(error).__name__}
    if heard is not None and not is_heard((beat.seen_at for beat in heard), now):
        return {"workers": f"None has been heard of lately: run {worker_command()}."}
    return {}


def only_reads(using: str) -> bool:
    """Whether nothing can be written there. Asks PostgreSQL: a standby does, and whatever was told to only read.

    Raises django.db.DatabaseError when the database cannot be reached.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only" if connection.vendor == "postgresql" else "SELECT 'off'")
        return bool(cursor.fetchone()[0] == "on")


_is_migrated = False  # once true it stays true for this version of the code


def _migrated() -> bool:
    global _is_migrated
    if not _is_migrated:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        _is_migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _is_migrated
