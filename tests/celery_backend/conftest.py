"""Brokers and workers for these tests: RabbitMQ and Redis as they are installed, queues of the test's own."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from kombu import Connection

from notifications.backends.celery import publisher
from notifications.backends.celery.app import celery_app
from notifications.backends.enqueueing import running_on
from tests.processes import free_port, manage, private_database, running, wait_until

BROKERS = {
    "RabbitMQ": os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "Redis": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0"),
}


@dataclass(frozen=True)
class Site:
    env: dict[str, str]
    folder: Path
    prefix: str
    worker: Popen[bytes]

    def log_lines(self, text: str) -> list[str]:
        path = self.folder / "log.txt"
        return [line for line in path.read_text().splitlines() if text in line] if path.exists() else []

    def notify(self, text: str, *arguments: str, **env: str) -> str:
        """Accept one in a process of its own. Gives its output."""
        done = manage(
            "notify", "you@example.com", text, "--via", "celery", *arguments, env={**self.env, **env}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session", params=BROKERS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A database, a broker and a Celery worker."""
    url = BROKERS[request.param]
    require(request.param, url)
    folder, prefix = tmp_path_factory.mktemp("celery"), f"test-{uuid.uuid4().hex}."
    with private_database(folder, "sqlite:///") as database_url, own_queues(url, prefix):
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
        assert manage("migrate", "--verbosity", "0", env=env).returncode == 0
        celery = Path(sys.executable).with_name("celery")
        arguments = ["worker", "--concurrency", "2", "--without-mingle", "--without-gossip", "-l", "INFO"]
        output = folder / "worker.txt"
        with running(celery, "-A", "project", *arguments, env=env, output=output) as worker:
            wait_until(lambda: "ready." in output.read_text() or worker.poll() is not None)
            assert worker.poll() is None, output.read_text()
            yield Site(env, folder, prefix, worker)


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
        publisher.forget()
        celery_app.cache_clear()
