"""Brokers and workers for these tests: RabbitMQ and Redis as they are installed, queues of the test's own."""

import json
import os
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import psycopg
import pytest
from kombu import Connection
from psycopg.rows import dict_row

from notifications.backends.celery import publisher
from notifications.backends.enqueueing import running_on
from tests.processes import ROOT, free_port, private_database, running, wait_until

BROKERS = {
    "RabbitMQ": os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "Redis": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0"),
}


@dataclass(frozen=True)
class Site:
    url: str  # of the broker
    database_url: str
    folder: Path
    worker: Popen[bytes]
    door: Popen[str]

    def log_lines(self, text: str) -> list[str]:
        path = self.folder / "log.txt"
        return [line for line in path.read_text().splitlines() if text in line] if path.exists() else []

    def accept(self, message: str, *, due_in: float | None = None, **options: Any) -> str:
        """Accept one in another process, with these options of the backend. Gives its id."""
        assert self.door.stdin
        assert self.door.stdout
        order = {"message": message, "due_in": due_in, "options": options}
        print(json.dumps(order), file=self.door.stdin, flush=True)
        id = self.door.stdout.readline().strip()
        assert id, (self.folder / "door.txt").read_text()
        return id

    def row(self, id: str) -> dict[str, Any]:
        [row] = self._query("SELECT * FROM notifications_notification WHERE id = ", id)
        return row

    def attempts(self, id: str) -> list[dict[str, Any]]:
        """In order."""
        rows = self._query("SELECT * FROM notifications_attempt WHERE notification_id = ", id)
        return sorted(rows, key=lambda row: row["number"])

    def _query(self, statement: str, id: str) -> list[dict[str, Any]]:
        if self.database_url.startswith("sqlite"):
            path = self.database_url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(path, timeout=20)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(f"{statement} ?", [id.replace("-", "")])]
        with psycopg.connect(self.database_url, row_factory=dict_row) as other:
            return other.execute(f"{statement} %s", [id]).fetchall()  # type: ignore[arg-type]


@pytest.fixture(scope="session", params=BROKERS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: str
) -> Iterator[Site]:
    """A database, a broker, a Celery worker and a process that accepts."""
    url = BROKERS[request.param]
    require(request.param, url)
    folder, prefix = tmp_path_factory.mktemp("celery"), f"test-{uuid.uuid4().hex}."
    with private_database(folder, template=migrated) as database_url, own_queues(url, prefix):
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.celery_backend.settings",
            "DATABASE_URL": database_url,
            "CELERY_BROKER_URL": url,
            "TEST_PREFIX": prefix,
            "DEBUG": "true",
            "SECRET_KEY": "celery",
            "NOTIFICATIONS_LOG_FILE": str(folder / "log.txt"),
            "TEST_CHANNEL": "gated",
            "C_FORCE_ROOT": "1",
        }
        celery = Path(sys.executable).with_name("celery")
        arguments = ["worker", "--concurrency", "2", "--without-mingle", "--without-gossip", "-l", "INFO"]
        arguments += ["--hostname", f"{prefix}@%h"]  # another worker of this machine may have the usual name
        output = folder / "worker.txt"
        with (
            running(celery, "-A", "project", *arguments, env=env, output=output) as worker,
            accepting(env, folder / "door.txt") as door,
        ):
            wait_until(lambda: "ready." in output.read_text() or worker.poll() is not None)
            assert worker.poll() is None, output.read_text()
            yield Site(url, database_url, folder, worker, door)


@contextmanager
def accepting(env: dict[str, str], output: Path) -> Iterator[Popen[str]]:
    """It ends when its standard input does."""
    code = "from tests.celery_backend.accepting import accept_all; accept_all()"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    with (
        output.open("ab") as file,
        Popen(
            command, env={**os.environ, **env}, cwd=ROOT, text=True, stdin=PIPE, stdout=PIPE, stderr=file
        ) as process,
    ):
        yield process


def require(name: str, url: str) -> None:
    """Skip where this broker is not there; in CI it has to be."""
    try:
        with Connection(url, connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except OSError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"{name} does not answer at {url}: {error}")


@contextmanager
def own_queues(url: str, prefix: str) -> Iterator[None]:
    """They are gone when the block ends."""
    try:
        yield
    finally:
        with Connection(url) as connection:
            for level in (".urgent", "", ".background"):
                channel = connection.channel()
                if url.startswith("redis"):  # where it knows only the queues that it has made
                    channel.client.delete(f"{prefix}default{level}")
                channel.queue_delete(f"{prefix}default{level}")
            channel.exchange_delete(f"{prefix}default")


@pytest.fixture
def celery(settings: Any) -> Iterator[publisher.Publisher]:
    """The backend in this process, towards a broker that is not there. Gives its publisher."""
    settings.TASKS = {
        **settings.TASKS,
        "celery": {
            "BACKEND": "notifications.backends.celery.CeleryBackend",
            "OPTIONS": {"BROKER_URL": f"amqp://127.0.0.1:{free_port()}//", "CONNECT_TIMEOUT": 0.5},
        },
    }
    token = running_on.set("default")
    try:
        yield publisher.publisher("celery")
    finally:
        running_on.reset(token)
