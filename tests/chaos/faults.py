"""What is done to the service, each thing once a round, in the order that the seed gives."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
import psycopg

from tests.chaos.service import Program, Service, signal_group

START_WITHIN = 10.0  # seconds: what died last may still be starting again
HOLD_SQLITE = 3.5  # seconds; the settings give up after 2
LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
connection.execute("BEGIN IMMEDIATE")
time.sleep(float(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done, and between which times what it hit was hit."""

    name: str
    began_at: datetime
    ended_at: datetime
    victim: str


# Does it, and says to whom; "" when there was nobody to do it to.
Doing = Callable[[random.Random], str]


def faults_for(service: Service, database_url: str) -> dict[str, Doing]:
    """Every fault that this database knows, by name."""
    web, cluster = service.web, service.cluster

    def kill(find: Callable[[], list[psutil.Process]]) -> Doing:
        def do(rng: random.Random) -> str:
            deadline = time.monotonic() + START_WITHIN
            while not (victims := find()) and time.monotonic() < deadline:
                time.sleep(0.005)
            return _kill(rng.choice(victims)) if victims else ""

        return do

    def main_of(program: Program) -> Callable[[], list[psutil.Process]]:
        return lambda: [process for process in program.members() if process.pid == program.process.pid]

    def stop_group(program: Program) -> Doing:
        def do(rng: random.Random) -> str:
            if program.process.poll() is not None:
                return ""
            signal_group(program, signal.SIGTERM)
            return f"group {program.process.pid}"

        return do

    found: dict[str, Doing] = {
        "kill web worker": kill(lambda: service.workers(web)),
        "kill busy web worker": kill(lambda: service.workers(web, busy=True)),
        "kill web master": kill(main_of(web)),
        "kill cluster main": kill(main_of(cluster)),
        "kill sentinel": kill(lambda: cluster.with_title("sentinel")),
        "kill pusher": kill(lambda: cluster.with_title("pusher")),
        "kill idle worker": kill(lambda: service.workers(cluster, busy=False)),
        "kill busy worker": kill(lambda: service.workers(cluster, busy=True)),
        "stop cluster's group": stop_group(cluster),
        "stop web's group": stop_group(web),
    }
    if database_url.startswith("sqlite"):
        found["hold SQLite locked"] = lambda rng: hold_sqlite(database_url)
    else:
        found["end PostgreSQL's backends"] = lambda rng: end_backends(database_url)
        if os.environ.get("CHAOS_RESTART_POSTGRES"):
            found["restart PostgreSQL"] = lambda rng: restart_postgresql(database_url)
    return found


def _kill(process: psutil.Process) -> str:
    try:
        title = " ".join(process.cmdline())
        process.kill()
    except psutil.NoSuchProcess:
        return ""
    return f"{process.pid} {title}"


def hold_sqlite(database_url: str) -> str:
    path = database_url.removeprefix("sqlite:///")
    subprocess.run([sys.executable, "-c", LOCKER, path, str(HOLD_SQLITE)], check=True)
    return f"{HOLD_SQLITE} s"


def end_backends(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    return f"{ended[0] if ended else 0} backends"


def restart_postgresql(database_url: str) -> str:
    """Of this machine's own Debian cluster, for which whoever sets CHAOS_RESTART_POSTGRES names it: `15 main`."""
    version, name = os.environ["CHAOS_RESTART_POSTGRES"].split()
    command = ["pg_ctlcluster", "--skip-systemctl-redirect", version, name, "restart", "-m", "immediate"]
    subprocess.run(command, check=True, timeout=60)
    return f"{version}/{name}"


class FaultMaker:
    """Does one fault after the other until told to stop."""

    def __init__(self, faults: dict[str, Doing], rng: random.Random, pause: float) -> None:
        """`pause`: mean seconds between two faults."""
        self.faults = faults
        self.rng = rng
        self.pause = pause
        self.done: list[Fault] = []
        self.skipped: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        for name in self._deck():
            if self.stopping.wait(self.pause * self.rng.uniform(0.5, 1.5)):
                return
            began_at = datetime.now(UTC)
            victim = self.faults[name](self.rng)
            if victim:
                self.done.append(Fault(name, began_at, datetime.now(UTC), victim))
            else:
                self.skipped.append(name)

    def _deck(self) -> Iterator[str]:
        while True:
            names = sorted(self.faults)
            self.rng.shuffle(names)
            yield from names
