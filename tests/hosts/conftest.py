"""Hosts for the tests: each has a folder, a network and a clock of its own, and the one database in common."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection

from tests.hosts.network import Network
from tests.processes import answers, free_port, running, wait_until


class Host:
    """A machine on which a cluster, or a web server, is started. All of it has ended when the test has."""

    def __init__(self, name: str, folder: Path, stack: ExitStack, clock_off: float) -> None:
        connection.ensure_connection()
        there = connection.settings_dict
        info = connection.connection.info
        self.name, self.stack = name, stack
        self.processes: list[subprocess.Popen[bytes]] = []
        self.folder = folder / name
        self.folder.mkdir()
        self.network = Network((info.hostaddr or info.host, info.port))
        stack.callback(self.network.close)
        login = f"{there['USER']}:{there['PASSWORD']}" if there["PASSWORD"] else there["USER"]
        self.env = {
            "DATABASE_URL": f"postgres://{login}@127.0.0.1:{self.network.port}/{there['NAME']}?sslmode=disable",
            "DJANGO_SETTINGS_MODULE": "tests.hosts.settings",
            "DEBUG": "true",
            "SECRET_KEY": settings.SECRET_KEY,
            "WEB_CONCURRENCY": "1",
            "QCLUSTER_WORKERS": "1",
            "HOST_CLOCK_OFF": str(clock_off),
            "NOTIFICATIONS_LOG_FILE": str(self.folder / "log.txt"),
            "QUEUE_TEST_FILE": str(self.folder / "tasks.txt"),
        }

    def start_cluster(self, *arguments: str) -> "Host":
        self.cluster = self._start("cluster", [sys.executable, "manage.py", "qcluster", *arguments])
        return self

    def start_web(self) -> "Host":
        self.url = f"http://127.0.0.1:{free_port()}"
        self.env["PORT"] = self.url.rpartition(":")[2]
        self._start("web", [str(Path(sys.executable).with_name("gunicorn")), "project.wsgi"])
        return self

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        output = self.folder / f"{name}.txt"
        process = self.stack.enter_context(running(*command, env=self.env, output=output))
        self.processes.append(process)
        return process

    @cached_property
    def web(self) -> httpx.Client:
        """A client of its web server, once that answers."""
        wait_until(lambda: answers(self.url))
        return self.stack.enter_context(httpx.Client(base_url=self.url, timeout=30))

    def stop_cluster(self) -> None:
        self.cluster.terminate()
        assert self.cluster.wait(20) == 0, self.said()

    def lines(self, name: str = "log.txt") -> list[str]:
        """What its channel, or its tasks, have written."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def has_begun(self, gate: str) -> bool:
        return (self.folder / f"{gate}.begun").exists()

    def open(self, gate: str) -> None:
        (self.folder / gate).touch()

    def said(self) -> str:
        return (self.folder / "cluster.txt").read_text()


@pytest.fixture
def host(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Callable[..., Host]]:
    """Makes hosts, by name; `clock_off` is in seconds. The test itself is one more host."""
    settings.CHANNELS["gated"] = settings.CHANNELS["log"]
    hosts: list[Host] = []
    with ExitStack() as stack:

        def make(name: str, clock_off: float = 0) -> Host:
            hosts.append(Host(name, tmp_path, stack, clock_off))
            return hosts[-1]

        yield make
        for each in hosts:  # all at once: each takes a second or two
            each.network.mend()
            for process in each.processes:
                process.terminate()
    for each in hosts:
        for output in each.folder.glob("*.txt"):
            print(f"--- {each.name}: {output.name}\n{output.read_text()}")  # noqa: T201  (shown where a test failed)
