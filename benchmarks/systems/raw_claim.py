"""Floor: one process that claims 200 rows of the product's queue table, deletes them, writes their lines."""

import sys
from typing import TYPE_CHECKING

from ..servers import POSTGRESQL
from .product import DATABASES, Product

if TYPE_CHECKING:
    from ..stage import Stage


class RawClaim(Product):
    is_product = False
    is_floor = True

    def __init__(self, database: str) -> None:
        super().__init__(database, "queue")
        self.name = "raw-" + {"sqlite": "sqlite", "postgresql": "pg"}[database]
        self.label = f"*floor: raw claim + delete, {DATABASES[database]}*"
        self.stated = (
            "one process, 200 rows a transaction, no unpickling, no status rows, no worker processes"
        )
        self.needs = (POSTGRESQL,) if database == "postgresql" else ()
        self.workloads = frozenset({"drain"})

    def worker_commands(self, stage: "Stage") -> list[list[str]]:
        return [[sys.executable, "-m", "benchmarks.sites.raw_claim"]]

    def settled(self, stage: "Stage") -> bool:
        return True  # it keeps no status
