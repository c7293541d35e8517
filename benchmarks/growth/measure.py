"""What is measured at each size, in this process: CPU time for each call, and what the tables weigh.

CPU time, because whatever else runs on the machine moves the clock on the wall by more than ten million rows do. It is
this process's and, on PostgreSQL, that of the backend it talks to, as far as /proc tells; plans are kept from running
in parallel, in other processes. Waiting for a disk is not in it.
"""

import gc
import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import process_time

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from notifications import metrics, overview, retention, services, tasks
from notifications.backends.queue import package
from notifications.backends.queue.broker import OrmBroker

ACCEPTED, BATCH = 1000, 200
TABLES = ["notifications_notification", "notifications_attempt", "django_q_task", "django_q_ormq"]
ADMIN, API = "/admin/notifications/notification/", "/api/v1/notifications"
PAGES = {
    "admin list": ADMIN,
    "admin list, failed": f"{ADMIN}?status=failed",
    "admin list, of a week": f"{ADMIN}?since=week",
    "admin overview": "/admin/notifications/overview/?fragment",
}
API_PAGES = {
    "API list": API,
    "API list, failed": f"{API}?status=failed",
    "API list, a recipient": f"{API}?recipient=user50@example.com",
}


def all_of(user: User) -> dict[str, float]:
    """Milliseconds of CPU for each call, by name; `accept` first, for the others work on what it leaves."""
    logging.disable(logging.WARNING)
    settings.CHANNELS["log"]["OPTIONS"]["path"] = os.devnull
    settings.NOTIFICATIONS_KEEP_DAYS = {"sent": 30}
    found = {"first count of attempts": _spent(metrics.count_attempts)}
    found |= {
        "accept": _mean(_accept, ACCEPTED),
        "claim, send, record 200": _mean(_deliver, ACCEPTED // BATCH - 1),
    }
    client, api = Client(), APIClient()
    client.force_login(user)
    api.force_authenticate(user)
    for name, url in PAGES.items():
        found[name] = _mean(lambda url=url: _get(client, url), 20)
    for name, url in API_PAGES.items():
        found[name] = _mean(lambda url=url: _get(api, url), 20)
    found["overview's queries"] = _mean(overview.snapshot, 20)
    found["metrics"] = _mean(metrics.exposition, 20)
    found["sweep"] = _mean(services.recover, 20)
    found["prune 500"] = _mean(lambda: retention.prune(pages=1), 5)
    return found


def sizes() -> dict[str, dict[str, int]]:
    """Bytes of rows and of indexes, by table."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class WHERE relname = ANY(%s)",
                [TABLES],
            )
            return {name: {"rows": rows, "indexes": indexes} for name, rows, indexes in cursor.fetchall()}
        cursor.execute(
            "SELECT m.tbl_name, sum(CASE m.type WHEN 'table' THEN s.pgsize ELSE 0 END), "
            "sum(CASE m.type WHEN 'index' THEN s.pgsize ELSE 0 END) FROM dbstat s JOIN sqlite_schema m USING (name) "
            "GROUP BY m.tbl_name"
        )
        return {name: {"rows": rows, "indexes": i} for name, rows, i in cursor.fetchall() if name in TABLES}


def _accept() -> None:
    services.accept(recipient="someone@example.com", message="hello", channel="log", via="queue")


def _deliver() -> None:
    broker = OrmBroker("default")
    entries = broker.claim(BATCH)
    assert len(entries) == BATCH
    ids = [id for entry in entries for id in package.unpack(entry.payload)["args"][0]]
    tasks.deliver.call(ids)
    broker.table.delete([entry.pk for entry in entries])


def _get(client: Client, url: str) -> None:
    response = client.get(url, secure=True)
    assert response.status_code == 200, (url, response.status_code)


def _mean(action: Callable[[], object], times: int) -> float:
    if times < ACCEPTED:
        action()  # the first one compiles templates and reads pages
    gc.collect()  # what others left is not this one's to clear

    def all_of_them() -> None:
        for _ in range(times):
            action()

    return _spent(all_of_them) / times


def _spent(action: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    backend = _backend()
    began, began_there = process_time(), _spent_by(backend)
    action()
    return (process_time() - began) * 1e3 + (_spent_by(backend) - began_there) / 1e6


def _backend() -> Path | None:
    if connection.vendor != "postgresql":
        return None
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
    return Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")


def _spent_by(backend: Path | None) -> int:
    """Nanoseconds of CPU. 0 where the server is on another machine."""
    return int(backend.read_text().split()[0]) if backend and backend.exists() else 0
