"""One system, started on an empty store of its own: web processes, workers, and the file they write to."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .load import HOST
from .processes import Process, ProcessFailed, end_leftovers, wait_until

if TYPE_CHECKING:
    from .systems.base import System

ROOT = Path(__file__).resolve().parent.parent
LINE = "notification for {recipient}@example.com: some notification\n"
LINE_LENGTH = len(LINE.format(recipient="x00000000"))
# What could change a measured process, and the variables that the Makefile exports.
OURS = (
    "DATABASE_URL",
    "DJANGO_SETTINGS_MODULE",
    "PORT",
    "LOG_LEVEL",
    "DEBUG",
    "SECRET_KEY",
    "HOST",
    "PYTHONDONTWRITEBYTECODE",  # what is compiled at each start stays in memory
)


class Stage:
    """Context manager. Everything it started and made is gone when it is left."""

    def __init__(self, system: "System") -> None:
        self.system = system
        self.closing = ExitStack()
        self.web: Process | None = None
        self.workers: list[Process] = []
        self.written = 0  # lines that the log file must come to
        self._numbers = count(1)

    def __enter__(self) -> "Stage":
        self.directory = Path(tempfile.mkdtemp(prefix="notifications-bench-"))
        self.closing.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.log = self.directory / "log.txt"
        self.slow_log = self.directory / "slow.txt"
        self.port = free_port()
        try:
            self.log.touch()
            self.slow_log.touch()
            self.variables = {
                "LOG_LEVEL": "WARNING",
                "SECRET_KEY": "benchmark-" + "x" * 50,
                "DEBUG": "false",
                "ALLOWED_HOSTS": "localhost,127.0.0.1",
                "HOST": HOST,
                "PORT": str(self.port),
                "WEB_CONCURRENCY": "2",
                "QCLUSTER_WORKERS": "2",
                "NOTIFICATIONS_LOG_FILE": str(self.log),
                "NOTIFICATIONS_VIA": "queue",
                "BENCH_SLOW_LOG_FILE": str(self.slow_log),
                "PYTHONUNBUFFERED": "1",
            }
            self.system.prepare(self)
        except BaseException:
            self.closing.close()
            raise
        return self

    def __exit__(self, error: type[BaseException] | None, *rest: object) -> None:
        if error and issubclass(error, Exception):
            for output in sorted(self.directory.glob("*.out")):
                if tail := output.read_text(errors="replace")[-1500:].strip():
                    print(f"--- {self.system.name}, {output.name}\n{tail}", file=sys.stderr)
        try:
            self.stop_workers()
            self.stop_web()
            end_leftovers()
        finally:
            self.closing.close()

    def environment(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if k not in OURS} | self.variables

    def start(self, command: list[str], name: str) -> Process:
        output = self.directory / f"{name}-{next(self._numbers)}.out"
        return Process(command, self.environment(), output, ROOT)

    def run(self, command: list[str], name: str, timeout: float = 900) -> None:
        """Run a command to its end. Raises ProcessFailed with its output when it fails."""
        process = self.start(command, name)
        try:
            process.wait(timeout)
        finally:
            process.stop()

    def start_web(self) -> Process:
        if self.web is None:
            self.web = self.start(self.system.web_command(self), "web")
            wait_until(f"{self.system.name}: web", self._web_answers, 20)
        return self.web

    def stop_web(self) -> None:
        if self.web:
            self.web.stop()
            self.web = None

    def start_workers(self, clusters: int = 1) -> list[Process]:
        if not self.workers:
            commands = self.system.worker_commands(self) * clusters
            self.workers = [self.start(command, "worker") for command in commands]
        return self.workers

    def stop_workers(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.workers = []

    def worker_cpu(self) -> float:
        return sum(worker.cpu() for worker in self.workers)

    def fill(self, number: int, letter: str = "f", start: int = 0) -> None:
        """Enqueue `number` jobs, from a process of the system's own. Letter s: slow ones, to another file."""
        self.system.fill(self, number, letter, start)
        if letter != "s":
            self.written += number

    def lines(self) -> int:
        return self.log.stat().st_size // LINE_LENGTH

    def slow_lines(self) -> int:
        return self.slow_log.stat().st_size // LINE_LENGTH

    def load(self, **plan: Any) -> dict[str, Any]:
        """Run the HTTP clients to their end and return their figures, with the web's CPU per request."""
        web = self.start_web()
        before = web.cpu()
        plan = {"port": self.port, "path": self.system.path("q")} | plan
        figures = self.start_load(plan)()
        figures["web_us"] = 1e6 * (web.cpu() - before) / max(figures["sent"], 1)
        self.written += figures["sent"]
        if figures["errors"]:
            raise ProcessFailed(f"{figures['errors']} requests failed: {figures['first_error'][:400]}")
        return figures

    def start_load(self, plan: dict[str, Any]):
        """Start the clients; the returned function waits for them and gives their figures."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load", json.dumps(plan)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.closing.callback(process.kill)

        def result() -> dict[str, Any]:
            output, _ = process.communicate(timeout=plan.get("seconds", 3) + 60)
            if process.returncode:
                raise ProcessFailed(f"the load generator ended with status {process.returncode}")
            return json.loads(output)

        return result

    def warm_up(self) -> None:
        """Start everything and see a handful of requests arrive in the file: nothing is measured cold."""
        self.start_web()
        self.start_workers()
        before, sent = self.lines(), 40
        self.load(seconds=20, warmup=0, count=sent, start=90_000_000 + next(self._numbers) * 1000)
        if self.system.delivers:
            wait_until(f"{self.system.name}: first jobs", lambda: self.lines() >= before + 20, 30)

    def settle(self, timeout: float = 30) -> None:
        """Wait until everything that was accepted so far is in the file."""
        if self.system.delivers:
            wait_until(f"{self.system.name}: the rest", lambda: self.lines() >= self.written, timeout)

    def check(self) -> None:
        for process in (self.web, *self.workers):
            if process:
                process.check()

    def _web_answers(self) -> bool:
        self.check()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request("GET", "/", headers={"X-Forwarded-Proto": "https"})
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
            return False
        finally:
            connection.close()
        return True


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])
