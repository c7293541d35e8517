"""django-tasks-db: Django's task framework on a table, one process a worker."""

from typing import TYPE_CHECKING

from ..servers import POSTGRESQL
from .base import System, manage

if TYPE_CHECKING:
    from ..stage import Stage


class DjangoTasksDB(System):
    name = "django-tasks-db"
    label = "django-tasks-db, PostgreSQL"
    stated = "two `db_worker --interval 0.1 --no-startup-delay` processes (its default interval is 1 s)"
    site = "django_tasks"
    needs = (POSTGRESQL,)
    database = "postgresql"
    drain_size = 1500
    django_settings = {
        "BENCH_APPS": ["django_tasks_db"],
        "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
    }

    def worker_commands(self, stage: "Stage") -> list[list[str]]:
        return [manage("db_worker", "--interval", "0.1", "--no-startup-delay", "--verbosity", "0")] * 2
