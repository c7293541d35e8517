"""Real processes for tests: a private database, a free port, and nothing left over afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg

ROOT = Path(__file__).parent.parent
DATABASE_URL = os.environ.get("DATABASE_URL", "sqlite:///")


def wait_until[T](condition: Callable[[], T], timeout: float = 30, every: float = 0.02) -> T:
    """Poll until `condition()` is true, and return what it gave. Raises TimeoutError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not within {timeout} s: {condition}")
        time.sleep(every)


def answers(url: str, **headers: str) -> bool:
    """Whether a service is there. On a new connection, so any of its processes may answer."""
    try:  # httpx reads all certificates for each client, some fifty milliseconds long, unless it is told not to
        return httpx.get(f"{url}/livez", headers=headers, timeout=30, verify=False).is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def private_database(folder: Path, url: str = DATABASE_URL, *, template: str = "") -> Iterator[str]:
    """The URL of a database of the kind, and on the server, that `url` names. Gone when the block ends.

    It is empty, or a copy of the one whose URL is `template`, which nobody may be connected to.
    """
    if url.startswith("sqlite"):
        if template:
            shutil.copy(template.removeprefix("sqlite:///"), folder / "db.sqlite3")
        yield f"sqlite:///{folder / 'db.sqlite3'}"
        return
    name = f"notifications_{uuid.uuid4().hex[:12]}"
    source = f' TEMPLATE "{urlsplit(template).path[1:]}"' if template else ""
    _execute(url, f'CREATE DATABASE "{name}"{source}')
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        _execute(url, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(url: str, statement: str) -> None:
    """On a connection of its own: a test may restart the server in between."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def running(
    *command: str | Path,
    env: Mapping[str, str],
    output: Path,
    cwd: Path = ROOT,
    stop: signal.Signals = signal.SIGTERM,
    grace: float = 20,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own. When the block ends it is asked to stop, then its group is killed."""
    with output.open("ab") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **env},
            cwd=cwd,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(stop)
        try:
            process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=grace)


def manage(*args: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`manage.py …`, to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
