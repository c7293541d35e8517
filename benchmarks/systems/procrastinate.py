"""procrastinate: PostgreSQL with LISTEN/NOTIFY, one asyncio process a worker."""

from typing import TYPE_CHECKING

from ..servers import POSTGRESQL
from .base import System, manage

if TYPE_CHECKING:
    from ..stage import Stage


class Procrastinate(System):
    name = "procrastinate"
    label = "procrastinate, PostgreSQL"
    stated = "two `procrastinate worker --concurrency 8 --delete-jobs always` processes, listening"
    site = "procrastinate_site"
    needs = (POSTGRESQL,)
    database = "postgresql"
    has_extras = True  # croniter
    drain_size = 1500
    django_settings = {
        "BENCH_APPS": ["procrastinate.contrib.django"],
        "PROCRASTINATE_IMPORT_PATHS": ["benchmarks.sites.procrastinate_site"],
    }

    def worker_commands(self, stage: "Stage") -> list[list[str]]:
        return [manage("procrastinate", "worker", "--concurrency", "8", "--delete-jobs", "always")] * 2
