"""One trial of the service on this machine: a web server and workers of its own, measured from outside by HTTP."""

import http.client
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connection
from django.tasks import task_backends

from .conf import backend_alias, notification_settings

CLIENTS = 8
PAUSE = 0.05  # seconds between two requests whose pickup is measured: a service at rest
PATIENCE = 60.0  # seconds to wait for a start, or for the work to be done
POLL = 0.0005  # seconds between two looks at the log file


class TrialFailed(Exception):
    """The service did not start, or did not finish what it had accepted."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one way of running the work came to. Times are seconds, from outside."""

    via: str
    reply_p50: float
    reply_p99: float
    pickup_p50: float  # from sending the request to the line in the log
    pickup_p99: float
    per_second: float  # accepted and sent, by 8 clients
    loses: str  # when its process is killed

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def summary(measured: list[Measured]) -> str:
    """One sentence: which to use for what."""
    if len(measured) == 1:
        return f"Only {measured[0].via} was measured: give --via two or more to compare."
    soonest = min(measured, key=lambda one: one.pickup_p50)
    most = max(measured, key=lambda one: one.per_second)
    if soonest is most:
        return (
            f"Use {most.via}, which is ahead in both; use the others where its process should not do the work itself "
            "(slow or heavy work, many machines)."
        )
    return (
        f"Use {soonest.via} for work of milliseconds (it begins {soonest.pickup_p50 * 1e3:.1f} ms after the request), "
        f"and {most.via} for volume and slow work ({most.per_second:.0f} a second here)."
    )


class Trial:
    """The running service. A context manager: what it started and made is gone when the block ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log.txt"
        self.exits = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.exits.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.exits.close()

    def measure(self, via: str, requests: int, tell: Callable[[str], None]) -> Measured:
        self._one_by_one(via, 5)  # the first ones make connections and threads
        replies, pickups = self._one_by_one(via, requests // 3)
        tell(f"{via}: one by one")
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as clients:
            replies += [
                reply
                for part in clients.map(
                    lambda _: self._closed_loop(via, requests // CLIENTS + 1), range(CLIENTS)
                )
                for reply in part
            ]
        tell(f"{via}: {CLIENTS} clients")
        count = (requests // CLIENTS + 1) * CLIENTS
        line = f"{via} volume\n".encode()
        self._wait(
            lambda: self.log.read_bytes().count(line) >= count, "Not all notifications were sent", 0.01
        )
        took = time.perf_counter() - began
        tell(f"{via}: all sent")
        return Measured(
            via,
            _percentile(replies, 50),
            _percentile(replies, 99),
            _percentile(pickups, 50),
            _percentile(pickups, 99),
            count / took,
            _loses(via),
        )

    def _start(self) -> None:
        self.port = _free_port()
        environment = {
            **os.environ,
            "DATABASE_URL": self._database(),
            "DEBUG": "true",  # opens the door for this machine
            "SECRET_KEY": uuid.uuid4().hex,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "LOG_LEVEL": "WARNING",
            "NOTIFICATIONS_LOG_FILE": str(self.log),
        }
        manage = [sys.executable, sys.argv[0]]
        with (self.folder / "output.txt").open("wb") as output:
            migrated = subprocess.run(  # noqa: S603 (our own commands)
                [*manage, "migrate"], env=environment, stdout=output, stderr=output, check=False
            )
            if migrated.returncode:
                raise TrialFailed(self._output("Could not make the tables"))
            web = [sys.executable, "-m", "gunicorn", settings.WSGI_APPLICATION.rpartition(".")[0]]
            for command in (web, [*manage, "qcluster"]):
                process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603
                self.exits.callback(_stop, process)
        self._wait(self._answers, "The service did not start")

    def _database(self) -> str:
        """An empty database of the same kind as this project's."""
        if connection.vendor == "sqlite":
            return f"sqlite:///{self.folder / 'db.sqlite3'}"
        name = f"compare_{uuid.uuid4().hex[:12]}"
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        self.exits.callback(_drop, name)
        return postgres_url(connection.settings_dict, name)

    def _one_by_one(self, via: str, requests: int) -> tuple[list[float], list[float]]:
        replies, pickups = [], []
        http_connection = self._connection()
        for _ in range(requests):
            size, began = self._size(), time.perf_counter()
            self._post(http_connection, via, via)
            replies.append(time.perf_counter() - began)
            self._wait(partial(self._grown, size), "A notification was not sent", POLL)
            pickups.append(time.perf_counter() - began)
            time.sleep(PAUSE)
        return replies, pickups

    def _closed_loop(self, via: str, requests: int) -> list[float]:
        replies = []
        http_connection = self._connection()
        for _ in range(requests):
            began = time.perf_counter()
            self._post(http_connection, via, f"{via} volume")
            replies.append(time.perf_counter() - began)
        return replies

    def _post(self, http_connection: http.client.HTTPConnection, via: str, message: str) -> None:
        path = f"/send-notification/you@example.com?via={quote(via)}&message={quote(message)}"
        http_connection.request("POST", path)
        response = http_connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise TrialFailed(f"via={via} was answered {response.status}: {body.decode()}")

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def _answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            self._post(self._connection(), "queue", "first")
            return True
        return False

    def _grown(self, size: int) -> bool:
        return self._size() > size

    def _size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _wait(self, condition: Callable[[], bool], problem: str, every: float = 0.05) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise TrialFailed(self._output(f"{problem} within {PATIENCE:.0f} s"))
            time.sleep(every)

    def _output(self, problem: str) -> str:
        return f"{problem}. The service said:\n{(self.folder / 'output.txt').read_text()[-2000:]}"


def postgres_url(own: dict[str, Any], name: str) -> str:
    """DATABASE_URL for the database `name` on the server of these settings, with what options a URL can have."""
    user, password, host = (quote(own[part], safe="") for part in ("USER", "PASSWORD", "HOST"))
    login = f"{user}:{password}" if password else user
    options = {key: value for key, value in own.get("OPTIONS", {}).items() if isinstance(value, str | int)}
    query = urlencode(options, quote_via=quote)
    return f"postgres://{login}@{host}:{own['PORT'] or 5432}/{name}{query and f'?{query}'}"


def _loses(via: str) -> str:
    durable = getattr(task_backends[backend_alias(via)], "enqueues_in_transaction", False)
    seconds = notification_settings().lease.total_seconds()
    return (
        "nothing (other workers go on)" if durable else f"nothing (the queue goes on after {seconds:.0f} s)"
    )


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _drop(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
