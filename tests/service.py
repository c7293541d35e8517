"""The whole service as a user meets it: gunicorn and qcluster on a private database and a free port."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx

from tests.processes import free_port, manage, running, wait_until


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
        return httpx.Client(base_url=self.url, timeout=30)

    def finished(self, client: httpx.Client, location: str) -> dict[str, Any]:
        """The notification, once it has a final status."""

        def final() -> dict[str, Any] | None:
            document: dict[str, Any] = client.get(location).json()
            return document if document["finished_at"] else None

        document = wait_until(final, timeout=30)
        assert document is not None
        return document


@contextmanager
def serving(folder: Path, database_url: str, **env: str) -> Iterator[Service]:
    """The service with DEBUG, its files in `folder`, until the block ends. More of the environment may be given."""
    port = free_port()
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
    migrated = manage("migrate", "--verbosity", "0", env=env)
    assert migrated.returncode == 0, migrated.stderr
    gunicorn = Path(sys.executable).with_name("gunicorn")
    with (
        running(gunicorn, "project.wsgi", env=env, output=folder / "web.txt") as web,
        working(folder, env) as cluster,
    ):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(url))
        yield Service(url, env, folder, web, cluster)


def working(folder: Path, env: dict[str, str]) -> AbstractContextManager[Popen[bytes]]:
    """A cluster of this service until the block ends."""
    return running(sys.executable, "manage.py", "qcluster", env=env, output=folder / "worker.txt")


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/nowhere").status_code == 404
    except httpx.TransportError:
        return False
