"""Rows R and E on real servers: gunicorn `sync`, `gthread`, `--preload`, its `asgi` worker, and uvicorn.

A task is held by a gate (a file), so "while the task runs" is a fact and not a matter of timing.
"""

import http.client
import itertools
import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.processes import DATABASE_URL, ROOT, free_port, running, wait_until

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not DATABASE_URL.startswith("sqlite"),
        reason="The servers of these tests have a database of their own",
    ),
]

APPLICATION = "tests.background.server.application"
GUNICORN = [sys.executable, "-m", "gunicorn", "--workers", "1"]
SERVERS = {
    "sync": [*GUNICORN, "--worker-class", "sync", f"{APPLICATION}:wsgi"],
    "gthread": [*GUNICORN, "--worker-class", "gthread", "--threads", "4", f"{APPLICATION}:wsgi"],
    "preload": [*GUNICORN, "--preload", "--worker-class", "gthread", "--threads", "4", f"{APPLICATION}:wsgi"],
    "asgi": [*GUNICORN, "--worker-class", "asgi", f"{APPLICATION}:asgi"],
    "uvicorn": [sys.executable, "-m", "uvicorn", f"{APPLICATION}:asgi"],
}
NAMES = (f"n{number}" for number in itertools.count())


@dataclass
class Server:
    kind: str
    folder: Path
    port: int = field(default_factory=free_port)

    @property
    def diary(self) -> list[str]:
        path = self.folder / "diary"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        return (self.folder / "output").read_text()

    def open_gate(self, name: str) -> None:
        (self.folder / f"diary.{name}").touch()

    def wrote(self, line: str) -> None:
        wait_until(lambda: line in self.diary)

    def connection(self) -> "closing[http.client.HTTPConnection]":
        return closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30))

    def get(self, url: str, connection: http.client.HTTPConnection | None = None) -> str:
        if connection is None:
            with self.connection() as own:
                return self.get(url, own)
        connection.request("GET", url)
        response = connection.getresponse()
        assert response.status == 200
        return response.read().decode()

    def answers(self) -> bool:
        try:
            return bool(self.get("/quick"))
        except (OSError, http.client.HTTPException):
            return False


@contextmanager
def serve(kind: str, folder: Path, **options: object) -> Iterator[tuple[Server, "object"]]:
    server = Server(kind, folder)
    where = ["--port", str(server.port)] if kind == "uvicorn" else ["--bind", f"127.0.0.1:{server.port}"]
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.background.server.settings",
        "PYTHONPATH": str(ROOT),
        "DIARY": str(folder / "diary"),
        "OPTIONS": json.dumps(options),
        **({"PRELOAD": "yes"} if kind == "preload" else {}),
    }
    with running(*SERVERS[kind], *where, env=env, output=folder / "output", cwd=folder) as process:
        try:
            wait_until(server.answers)
        except TimeoutError:
            pytest.fail(server.log)
        yield server, process


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory) -> Iterator[Server]:
    with serve(request.param, tmp_path_factory.mktemp(request.param)) as (server, _):
        yield server


@pytest.fixture
def name() -> str:
    """A fresh one for each test: servers are shared."""
    return next(NAMES)


def test_R3_R4_R5_nobody_waits_for_a_task(server: Server, name: str) -> None:
    """R3, R4, R5: while a sync and an async task are held, their replies are here, the same connection serves
    its next request, and so does another one.
    """
    with server.connection() as connection:
        assert server.get(f"/holds?name={name}", connection) == "held"
        assert server.get("/quick", connection)
        assert server.get(f"/aholds?name={name}a", connection) == "held"
        assert server.get("/quick", connection)
        assert server.get("/quick")
    server.wrote(f"start {name}a")
    assert f"end {name}" not in server.diary
    server.open_gate(name)
    server.open_gate(f"{name}a")
    server.wrote(f"end {name}")
    server.wrote(f"end {name}a")


def test_E1_E2_E3_errors_stay_in_the_task(server: Server, name: str) -> None:
    """E1, E2, E3: an error and `sys.exit()` are one ERROR record each; the task behind them, the connection and
    the process live on.
    """
    errors = server.log.count("ERROR Background task failed")
    with server.connection() as connection:
        before = server.get("/quick", connection)
        server.get(f"/fails?name={name}", connection)
        assert server.get("/quick", connection) == before
    server.wrote(f"after the errors of {name}")
    assert server.get("/quick") == before
    assert server.log.count("ERROR Background task failed") == errors + 2
    assert "ValueError: broken on purpose" in server.log
    assert "SystemExit: 3" in server.log


@pytest.mark.parametrize("view", ["slow", "aslow"])
def test_R9_the_client_leaves_before_the_view_has_finished(server: Server, name: str, view: str) -> None:
    """R9: the tasks that a sync and an async view add afterwards still run."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(f"GET /{view}?name={name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        server.wrote(f"view {name}")
    if server.kind != "sync":  # the one process of a sync worker is still busy with the view
        assert server.get("/quick")
    server.open_gate(name)
    server.wrote(f"task {name}")


def test_R1_not_before_the_last_byte(server: Server, name: str) -> None:
    """R1: as long as the client has not taken the body, no task starts."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        request = f"GET /big?name={name} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        client.sendall(request.encode())
        received = len(client.recv(65536))
        assert f"task {name}" not in server.diary
        while chunk := client.recv(1 << 20):
            received += len(chunk)
    assert received > 32 * 1024 * 1024
    server.wrote(f"task {name}")


def test_R9_the_client_leaves_while_the_body_is_sent(server: Server, name: str) -> None:
    """R9: the connection breaks in the middle of the response; the task runs."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST, not FIN
        client.sendall(f"GET /big?name={name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert client.recv(1024)
    server.wrote(f"task {name}")


def test_R7_streamed(server: Server, name: str) -> None:
    """R7: after the last chunk."""
    assert server.get(f"/streams?name={name}") == "xxx"
    server.wrote(f"task {name}")
    lines = [line for line in server.diary if line.endswith(f" {name}")]
    assert lines == [*(f"chunk {number} {name}" for number in range(3)), f"task {name}"]


def test_R2_in_order(server: Server, name: str) -> None:
    """R2: the second task of a request starts when the first has ended."""
    server.get(f"/holds?name={name}&name={name}b")
    server.wrote(f"start {name}")
    server.open_gate(f"{name}b")
    server.open_gate(name)
    server.wrote(f"end {name}b")
    lines = [line for line in server.diary if line.split()[1] in (name, f"{name}b")]
    assert lines == [f"start {name}", f"end {name}", f"start {name}b", f"end {name}b"]


@pytest.mark.parametrize("kind", SERVERS)
def test_E8_sigterm_in_a_task(kind: str, tmp_path: Path) -> None:
    """E8: what can end within the deadline ends; what runs longer is named; what waits goes on in the queue.

    No line in gunicorn's configuration, one in `asgi.py`.
    """
    with serve(kind, tmp_path, MAX_THREADS=2, DRAIN_TIMEOUT=1.5) as (server, process):
        server.get("/holds?name=ends&name=never-b")
        server.get("/holds?name=never-a")
        server.wrote("start ends")
        server.wrote("start never-a")
        server.get("/delivers?name=waits")
        process.send_signal(signal.SIGTERM)
        server.open_gate("ends")
        code = process.wait(timeout=25)
    assert code == (-signal.SIGTERM if kind == "uvicorn" else 0)  # uvicorn ends by the signal itself
    assert "end ends" in server.diary
    assert "queue waits" in server.diary
    assert not [line for line in server.diary if line.startswith("end never")]
    assert server.log.count("ERROR Background task not finished") == 2
    assert "Task moved: name=tests.background.server.urls.deliver" in server.log


def test_E10_preload(tmp_path: Path) -> None:
    """E10: the master's pool, made before the fork, is the master's; the worker makes its own."""
    with serve("preload", tmp_path) as (server, process):
        worker = server.get("/quick")
        assert int(worker) != process.pid
        server.open_gate("x")
        server.get("/holds?name=x")
        server.wrote("end x")
        assert [line for line in server.diary if line.startswith("preloaded")] == [
            f"preloaded in {process.pid}"
        ]
