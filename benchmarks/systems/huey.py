"""huey on SQLite: the other queue that needs no server."""

from typing import TYPE_CHECKING

from .base import System, manage

if TYPE_CHECKING:
    from ..stage import Stage


class Huey(System):
    name = "huey"
    label = "huey, SQLite"
    stated = "SqliteHuey, WAL, its default synchronous (FULL), no results; consumer: 2 processes, 0.05 s poll"
    site = "huey_site"
    drain_size = 4000

    def prepare(self, stage: "Stage") -> None:
        self.django_settings = {
            "BENCH_APPS": ["huey.contrib.djhuey"],
            "HUEY": {
                "huey_class": "huey.SqliteHuey",
                "name": "bench",
                "results": False,
                "immediate": False,
                "filename": str(stage.directory / "huey.sqlite3"),
                "timeout": 20,
            },
        }
        super().prepare(stage)

    def worker_commands(self, stage: "Stage") -> list[list[str]]:
        options = ["--workers", "2", "--worker-type", "process", "--delay", "0.05", "--max-delay", "0.05"]
        return [manage("run_huey", *options, "--quiet", "--no-periodic")]
