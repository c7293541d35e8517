"""django-q2 on its own ORM broker: with its defaults, and with the best settings it has."""

from typing import TYPE_CHECKING

from ..servers import POSTGRESQL
from .base import ANY, System, manage

if TYPE_CHECKING:
    from ..stage import Stage

STOCK = {"name": "bench", "orm": "default", "workers": 2, "timeout": 60, "retry": 120, "log_level": "WARNING"}
TUNED = STOCK | {
    "poll": 0.05,
    "bulk": 200,
    "queue_limit": 1000,
    "save_limit": -1,
    "max_attempts": 1,
    "ack_failures": True,
}


class DjangoQ2(System):
    site = "django_q2"

    def __init__(self, database: str, *, tuned: bool) -> None:
        short, label = {"sqlite": ("sqlite", "SQLite"), "postgresql": ("pg", "PostgreSQL")}[database]
        self.database = database
        self.name = f"q2-{'tuned' if tuned else 'stock'}-{short}"
        self.label = f"django-q2 {'tuned' if tuned else 'stock'}, {label}"
        self.needs = (POSTGRESQL,) if database == "postgresql" else ()
        cluster = TUNED if tuned else STOCK
        self.stated = ", ".join(f"{key} {value}" for key, value in cluster.items() if key != "name")
        self.django_settings = {"BENCH_APPS": ["django_q"], "Q_CLUSTER": cluster}
        self.drain_size = 4000 if tuned else 1000
        self.workloads = ANY
        if tuned and database == "sqlite":
            self.workloads |= {"slow"}
        if tuned and database == "postgresql":
            self.workloads |= {"clusters"}
        self.quick = database == "sqlite" and not tuned

    def worker_commands(self, stage: "Stage") -> list[list[str]]:
        return [manage("qcluster")]


DJANGO_Q2S = [
    DjangoQ2(database, tuned=tuned) for tuned in (True, False) for database in ("sqlite", "postgresql")
]
