"""The product: `gunicorn project.wsgi` and `manage.py qcluster`, on SQLite or PostgreSQL, by thread or queue."""

import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from ..servers import POSTGRESQL
from .base import ANY, System

if TYPE_CHECKING:
    from ..stage import Stage

UNFINISHED = """
SELECT EXISTS (SELECT 1 FROM notifications_notification WHERE status = 'queued' AND next_attempt_at <= {now})
    OR EXISTS (SELECT 1 FROM notifications_notification WHERE status = 'sending')
"""
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
THREAD = frozenset({"post", "pickup"})
QUEUE = ANY | {"backlog", "busy_post", "slow", "bulk"}


class Product(System):
    """Two rows a notification, everything on: leases, fencing, retries."""

    site = "product"
    settings_module = "benchmarks.sites.product_settings"
    is_product = True
    drain_size = 60_000

    def __init__(self, database: str, via: str) -> None:
        short = {"sqlite": "sqlite", "postgresql": "pg"}[database]
        self.database, self.via = database, via
        self.name = f"product-{short}" + ("-thread" if via == "thread" else "")
        self.label = f"**this project**, {via}, {DATABASES[database]}"
        self.stated = (
            "the project's own settings, DEBUG off, two workers; door open to anybody, like the peers'"
        )
        self.needs = (POSTGRESQL,) if database == "postgresql" else ()
        self.workloads = THREAD if via == "thread" else QUEUE
        if via == "queue" and database == "postgresql":
            self.workloads |= {"clusters"}
        self.quick = True

    def path(self, letter: str) -> str:
        return f"{super().path(letter)}?via={self.via}"

    def web_command(self, stage: "Stage") -> list[str]:
        return [sys.executable, "-m", "gunicorn", "project.wsgi"]

    def worker_commands(self, stage: "Stage") -> list[list[str]]:
        return [] if self.via == "thread" else [[sys.executable, "manage.py", "qcluster"]]

    def settled(self, stage: "Stage") -> bool:
        url = stage.variables["DATABASE_URL"]
        if self.database == "postgresql":
            return not POSTGRESQL.query(url, UNFINISHED.format(now="now()"))[0][0]
        path = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            [[unfinished]] = connection.execute(UNFINISHED.format(now="datetime('now', '+1 second')"))
        return not unfinished


PRODUCTS = [
    Product("sqlite", "queue"),
    Product("postgresql", "queue"),
    Product("sqlite", "thread"),
    Product("postgresql", "thread"),
]
