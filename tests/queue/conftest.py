"""A worker's work in the process of the test; and real clusters, `manage.py qcluster` on the database of the test."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.db import connection

from notifications.backends.queue import OrmBroker
from notifications.backends.queue.execution import Execution
from notifications.backends.queue.processes import Job, Slot

LIMIT = 30.0  # seconds a wait may take before the test fails


def wait_for(condition: Callable[[], Any], what: str = "", limit: float = LIMIT) -> Any:
    """Poll until `condition` holds, and give what it gave."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit} s for {what or condition}")
        time.sleep(0.01)
    return found


def claimed() -> Job:
    """All that is due, as one job."""
    return Job(float("inf"), [(entry.pk, entry.payload) for entry in OrmBroker().claim(1000)])


def run(job: Job) -> tuple[list[int], dict[int, str]]:
    """A worker's work, in this process."""
    return Execution(OrmBroker(), Slot()).run(job)


class RunningCluster:
    """One `manage.py qcluster` in a process group of its own."""

    def __init__(self, directory: Path, *arguments: str, **environment: str) -> None:
        self.log = directory / f"cluster-{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster", *arguments],
                cwd=settings.BASE_DIR,
                env={**os.environ, **database_environment(directory), **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.main = psutil.Process(self.process.pid)

    def everybody(self) -> list[psutil.Process]:
        try:
            return [self.main, *self.main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def processes(self, role: str) -> list[psutil.Process]:
        """Those whose title says so: main, sentinel, pusher, worker."""
        found = []
        for process in self.everybody():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.cmdline()[0].endswith(f" {role}"):
                    found.append(process)
            except (psutil.NoSuchProcess, IndexError):
                continue
        return found

    def wait_until_up(self, workers: int = 2) -> "RunningCluster":
        wait_for(lambda: len(self.processes("worker")) == workers and self.processes("pusher"), "the cluster")
        return self

    def kill_group(self, number: int = signal.SIGKILL) -> None:
        os.killpg(self.process.pid, number)

    def stop(self, limit: float = LIMIT) -> int:
        """SIGTERM to the main process. Gives the exit status."""
        self.process.terminate()
        return self.process.wait(limit)

    def output(self) -> str:
        return self.log.read_text()


def database_environment(directory: Path) -> dict[str, str]:
    """Point a process to the database of the running test."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        url = f"sqlite:///{name}"
    else:
        there = connection.settings_dict
        url = f"postgres://{there['USER']}:{there['PASSWORD']}@{there['HOST']}:{there['PORT']}/{name}"
    return {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "tests.queue.settings",
        "QUEUE_TEST_FILE": str(directory / "lines.txt"),
    }


@pytest.fixture
def start_cluster(transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., RunningCluster]]:
    """Starts clusters; after the test none of their processes is left."""
    started: list[RunningCluster] = []

    def start(*arguments: str, **environment: str) -> RunningCluster:
        started.append(RunningCluster(tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for cluster in started:
        everybody = cluster.everybody()
        for process in everybody:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        cluster.process.wait(LIMIT)
        psutil.wait_procs(everybody, timeout=LIMIT)
        print(cluster.output())  # noqa: T201  (pytest shows it where the test failed)


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[], list[str]]:
    """What the tasks have written so far."""

    def read() -> list[str]:
        path = tmp_path / "lines.txt"
        return path.read_text().splitlines() if path.exists() else []

    return read
