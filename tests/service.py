"""The whole service as a user meets it: gunicorn and qcluster on a private database and a free port."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from subprocess import Popen
from typing import Any

import httpx

from tests.processes import answers, free_port, running, wait_until


@dataclass(frozen=True)
class Service:
    url: str
    env: dict[str, str]
    folder: Path
    web: Popen[bytes]
    cluster: Popen[bytes]

    def log_lines(self) -> list[str]:
        path = self.folder / "log.txt"
        return path.read_text().splitlines() if path.exists() else []

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, verify=False)

    def finished(self, client: httpx.Client, location: str) -> dict[str, Any]:
        """The notification, once it has a final status."""

        def final() -> dict[str, Any] | None:
            document: dict[str, Any] = client.get(location).json()
            return document if document["finished_at"] else None

        document = wait_until(final, timeout=30)
        assert document is not None
        return document


@contextmanager
def serving(
    folder: Path, database_url: str, *, listener: socket | None = None, **env: str
) -> Iterator[Service]:
    """The service with DEBUG, its files in `folder`, until the block ends. More of the environment may be given.

    `listener` is the socket that it serves, if it is not to open its own.
    """
    port = listener.getsockname()[1] if listener else free_port()
    env = {
        "DATABASE_URL": database_url,
        "DEBUG": "true",
        "SECRET_KEY": "a-service-of-tests",
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
        "QCLUSTER_WORKERS": "2",
        "NOTIFICATIONS_LOG_FILE": str(folder / "log.txt"),
        **env,
    }
    with (
        answering(folder, env, listener) as web,
        working(folder, env) as cluster,
    ):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(url))
        yield Service(url, env, folder, web, cluster)


def answering(
    folder: Path, env: dict[str, str], listener: socket | None = None
) -> AbstractContextManager[Popen[bytes]]:
    """The web of this service until the block ends; given a socket, as systemd gives one (sd_listen_fds(3))."""
    command: list[str | Path] = [Path(sys.executable).with_name("gunicorn"), "project.wsgi"]
    if listener is None:
        return running(*command, env=env, output=folder / "web.txt")
    code = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); "
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}; os.execv(sys.argv[2], sys.argv[2:])"
    )
    command = [sys.executable, "-c", code, str(listener.fileno()), *command]
    return running(*command, env=env, output=folder / "web.txt", pass_fds=[listener.fileno()])


def working(folder: Path, env: dict[str, str]) -> AbstractContextManager[Popen[bytes]]:
    """A cluster of this service until the block ends."""
    return running(sys.executable, "manage.py", "qcluster", env=env, output=folder / "worker.txt")
