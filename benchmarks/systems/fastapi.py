"""FastAPI's own BackgroundTasks: in process, no row, nothing survives a restart."""

import sys
from typing import TYPE_CHECKING

from .base import System

if TYPE_CHECKING:
    from ..stage import Stage


class FastAPI(System):
    site = "fastapi_app"
    workloads = frozenset({"post", "pickup", "memory", "slow"})

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.quick = processes == 2
        self.name = f"fastapi-{processes}"
        plural = "process" if processes == 1 else "processes"
        self.label = f"FastAPI BackgroundTasks, {processes} {plural}"
        self.stated = "uvicorn with uvloop and httptools, access log off; the job is a plain function"

    def web_command(self, stage: "Stage") -> list[str]:
        options = ["--port", str(stage.port), "--workers", str(self.processes), "--loop", "uvloop"]
        options += ["--http", "httptools", "--log-level", "warning", "--no-access-log"]
        return [sys.executable, "-m", "uvicorn", "benchmarks.sites.fastapi_app:app", *options]

    def fill(self, stage: "Stage", number: int, letter: str, start: int) -> None:
        stage.start_web()
        plan = {"port": stage.port, "path": self.path(letter), "count": number, "start": start}
        stage.start_load(plan | {"seconds": 60})()
