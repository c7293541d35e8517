"""Publishing to real brokers that do not do what they should."""

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from kombu import Connection

from notifications.backends.celery.conf import Options
from notifications.backends.celery.publisher import Publisher, publish_due, publisher
from tests.celery_backend.conftest import BROKERS, own_queues, require
from tests.processes import free_port, wait_until
from tests.queue import tasks

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@contextmanager
def publishing(settings: Any, url: str, prefix: str, **options: Any) -> Iterator[Publisher]:
    """The publisher of this process towards `url`."""
    options |= {"BROKER_URL": url, "QUEUE_PREFIX": prefix}
    backend = {"BACKEND": "notifications.backends.celery.CeleryBackend", "OPTIONS": options}
    settings.TASKS = {**settings.TASKS, "celery": backend}
    mine = publisher("celery")
    try:
        yield mine
    finally:
        mine._disconnect()


def left_behind(*priorities: int) -> None:
    """Tasks that wait in the database for whoever publishes them."""
    for priority in priorities:
        tasks.add.using(backend="celery", priority=priority, run_after=timezone.now()).enqueue(1)


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    """The URL of one that is there."""
    url = BROKERS[request.param]
    require(request.param, url)
    return url


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid.uuid4().hex}."


class Line:
    """A line to a server that may fall silent: both ends stay connected, and nothing arrives."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.server = parts.hostname or "127.0.0.1", parts.port or 0
        self.speaks = threading.Event()
        self.speaks.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.sockets = [self.listener]
        netloc = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        self.url = urlunsplit(parts._replace(netloc=f"{netloc}127.0.0.1:{self.listener.getsockname()[1]}"))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, far = self.listener.accept()[0], socket.create_connection(self.server)
                self.sockets += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.speaks.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.speaks.set()
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def line(broker: str) -> Iterator[Line]:
    line = Line(broker)
    yield line
    line.close()


def test_a_broker_that_falls_silent_counts_as_down(
    settings: Any, line: Line, broker: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, or behind a network that swallows all: nobody waits for its answer for ever, and nothing is lost."""
    # A busy machine's RabbitMQ takes some tenths of a second to make a queue.
    monkeypatch.setattr(Options, "answer_timeout", 1.5)
    with own_queues(broker, prefix), publishing(settings, line.url, prefix, CONNECT_TIMEOUT=1.5) as mine:
        left_behind(0)
        assert publish_due("celery") == 1
        assert mine.waiting() == 1
        line.speaks.clear()
        asking = threading.Thread(target=mine.waiting, daemon=True)
        asking.start()
        wait_until(lambda: not asking.is_alive())
        assert mine.is_down
        mine.closed_until = 0
        line.speaks.set()
        assert mine.waiting() == 1
        line.speaks.clear()
        left_behind(0)
        items = OrmQ.objects.count()
        assert (publish_due("celery"), mine.is_down, OrmQ.objects.count()) == (0, True, items)


def test_the_next_server_of_the_url_is_tried(settings: Any, broker: str, prefix: str) -> None:
    """One of them is away: the publisher goes where the workers are."""
    away = f"{broker.partition(':')[0]}://127.0.0.1:{free_port()}"
    with own_queues(broker, prefix), publishing(settings, f"{away};{broker}", prefix) as mine:
        left_behind(0)
        assert publish_due("celery") == 1
        assert mine.waiting() == 1


@pytest.mark.parametrize("broker", ["RabbitMQ"], indirect=True)
def test_a_message_that_is_refused_holds_up_no_other(settings: Any, broker: str, prefix: str) -> None:
    """The broker is not down for it: the rest is published, the refused one stays and is tried again later."""
    with own_queues(broker, prefix), publishing(settings, broker, prefix) as mine:
        with Connection(broker) as connection:  # with other arguments than ours
            connection.channel().queue_declare(f"{prefix}default.urgent", durable=True, auto_delete=False)
        left_behind(5, 0, -5)
        publish_due("celery")
        assert not mine.is_down
        entry = OrmQ.objects.get()
        assert entry.lock > timezone.now()
        assert mine.waiting() == 2
