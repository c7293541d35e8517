"""What is wrong with this installation, and how to mend it: one finding for each thing that can be looked at.

Each look is by itself: one that fails is a finding, and the next one is made all the same.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.tasks import default_task_backend
from django.utils import timezone

from . import health
from .channels import channels
from .clock import database_now
from .figures import CRITICAL_AFTER, WARNING_AFTER
from .models import database

OK, WARNING, ERROR = "ok", "warning", "error"

SKEW = timedelta(seconds=2)
OURS = ["notifications", "django_q"]
RIGHTS = """
    SELECT name, string_agg(privilege, ', ' ORDER BY place)
    FROM unnest(%s::text[]) AS name,
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS r (privilege, place)
    WHERE NOT has_table_privilege(to_regclass(quote_ident(name)), privilege) GROUP BY name ORDER BY name
"""
LOW, FULL = 1024**3, 100 * 1024**2  # bytes that are free


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was looked at, `level` is ok, warning or error, `text` what was seen, `hint` the way out."""

    what: str
    level: str
    text: str
    hint: str = ""


def examine() -> Iterator[Finding]:
    """All findings, in the order in which they should be mended. Never raises for a database that is away."""
    for what, look in DATABASE_LOOKS.items():
        try:
            yield from look()
        except DatabaseError as error:
            yield Finding(
                what, ERROR, f"{type(error).__name__}: {str(error).strip()}", "Is DATABASE_URL right?"
            )
            if what == "database":
                break
    yield from _disk()


def _settings() -> Iterator[Finding]:
    found = checks.run_checks(include_deployment_checks=not settings.DEBUG)
    for message in found:
        level = ERROR if message.level >= checks.ERROR else WARNING
        yield Finding("settings", level, f"{message.id}: {message.msg}", message.hint or "")
    if not found:
        yield Finding("settings", OK, "No check complains.")
    if settings.DEBUG:
        hint = "Where others can reach it, set DEBUG=false: while it is on, this machine needs no token."
        yield Finding("settings", OK, "DEBUG is on.", hint)


def _database() -> Iterator[Finding]:
    connection = connections[database()]
    connection.ensure_connection()
    version = ".".join(map(str, connection.get_database_version()))
    yield Finding("database", OK, f"{connection.display_name} {version}")
    if health.only_reads(database()):
        hint = "Name the primary in DATABASE_URL, promote this one, or look at default_transaction_read_only."
        yield Finding("database", ERROR, "It only reads, so that nothing is accepted or delivered.", hint)
    if connection.vendor == "postgresql":
        encoding = connection.connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            hint = (
                "Make one with ENCODING 'UTF8' TEMPLATE template0, and restore a pg_dump of this one into it."
            )
            yield Finding("database", ERROR, f"It cannot keep every text: its encoding is {encoding}.", hint)
        for table, rights in _missing_rights():
            hint = f"As the owner of the table: GRANT {rights} ON {table} TO the role of DATABASE_URL."
            yield Finding("database", ERROR, f"{table}: {rights} is not allowed.", hint)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
        if mode not in ("wal", "memory"):
            hint = "Set OPTIONS['init_command'] to 'PRAGMA journal_mode=WAL': readers then wait for nobody."
            yield Finding("database", WARNING, f"journal_mode is {mode}.", hint)


def _missing_rights() -> list[tuple[str, str]]:
    """Tables of the service and the queue, and what this role may not do there. What does not exist is not here."""
    models = [model for name in OURS for model in apps.get_app_config(name).get_models()]
    tables = [model._meta.db_table for model in models]  # noqa: SLF001 (a documented API)
    with connections[database()].cursor() as cursor:
        cursor.execute(RIGHTS, [tables])
        found: list[tuple[str, str]] = cursor.fetchall()
        return found


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connections[database()])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:5])
        yield Finding("migrations", ERROR, f"{len(plan)} not applied: {names}", "Run: manage.py migrate")
    else:
        yield Finding("migrations", OK, "All are applied.")


def _workers() -> Iterator[Finding]:
    beats = health.heartbeats()
    if beats is None:
        yield Finding("workers", OK, "The default backend does not tell who works.")
        return
    now = database_now(database())
    alive = [beat for beat in beats if now - beat.seen_at < health.MAX_SILENCE]
    if alive:
        yield Finding("workers", OK, f"{len(alive)} heard of in the last {health.MAX_SILENCE.seconds} s.")
    else:
        yield Finding("workers", ERROR, "Nobody works.", f"Start one: {health.worker_command()}.")
    for alias, reason in health.degraded().items():
        yield Finding(
            "workers", WARNING, f"{alias}: {reason}", "What is accepted waits until it works again."
        )


def _waiting() -> Iterator[Finding]:
    since = getattr(default_task_backend, "waiting_since", lambda: None)()
    age = database_now(database()) - since if since else timedelta(0)
    level = ERROR if age >= CRITICAL_AFTER else WARNING if age >= WARNING_AFTER else OK
    hint = (
        ""
        if level == OK
        else "More workers (QCLUSTER_WORKERS), or look in the admin's overview at what fails."
    )
    yield Finding("waiting", level, f"The oldest waits {age.total_seconds():.1f} s.", hint)


def _schedules() -> Iterator[Finding]:
    """A backend that has schedules says by `broken_schedules()` which of them cannot be enqueued."""
    found: list[tuple[str, str]] = getattr(default_task_backend, "broken_schedules", list)()
    for name, reason in found:
        hint = "Mend or delete it (admin, Scheduled tasks): when it is due it is put off, minute by minute."
        yield Finding("schedules", ERROR, f"{name}: {reason}", hint)
    if not found:
        yield Finding("schedules", OK, "Each can be enqueued.")


def _clock() -> Iterator[Finding]:
    if connections[database()].vendor != "postgresql":
        return
    skew = abs(database_now(database()) - timezone.now())
    if skew > SKEW:
        hint = "Leases and times are the database's, so nothing breaks; let NTP set both clocks."
        yield Finding("clock", WARNING, f"{skew.total_seconds():.1f} s off the database's.", hint)
    else:
        yield Finding("clock", OK, f"Within {SKEW.seconds} s of the database's.")


def _disk() -> Iterator[Finding]:
    paths = {Path(options["path"]).parent for options in _options() if "path" in options}
    connection = connections[database()]
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():  # type: ignore[attr-defined]
        paths.add(Path(connection.settings_dict["NAME"]).parent)
    for path in sorted(paths):
        try:
            free = shutil.disk_usage(path).free
        except OSError as error:
            yield Finding("disk", ERROR, f"{path}: {error.strerror}", "Make the folder, or name another.")
            continue
        level = ERROR if free < FULL else WARNING if free < LOW else OK
        hint = "" if level == OK else "Make room: manage.py prune, or NOTIFICATIONS_KEEP_DAYS."
        yield Finding("disk", level, f"{path}: {free / 1024**3:.1f} GiB free.", hint)


def _options() -> Iterator[dict[str, Any]]:
    for params in channels.settings.values():
        yield params.get("OPTIONS", {})


DATABASE_LOOKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "settings": _settings,  # Django's checks of models ask SQLite what it can
    "database": _database,
    "migrations": _migrations,
    "workers": _workers,
    "waiting": _waiting,
    "schedules": _schedules,
    "clock": _clock,
}
