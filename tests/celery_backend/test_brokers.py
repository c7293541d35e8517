"""Publishing to real brokers that do not do what they should."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import timezone

from notifications.backends.celery.app import celery_app
from notifications.backends.celery.publisher import Publisher, forget, publish_due, publisher
from tests.celery_backend.conftest import BROKERS, own_queues, require
from tests.processes import free_port
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
        forget()
        celery_app.cache_clear()


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


def test_the_next_server_of_the_url_is_tried(settings: Any, broker: str, prefix: str) -> None:
    """One of them is away: the publisher goes where the workers are."""
    away = f"{broker.partition(':')[0]}://127.0.0.1:{free_port()}"
    with own_queues(broker, prefix), publishing(settings, f"{away};{broker}", prefix) as mine:
        left_behind(0)
        assert publish_due("celery") == 1
        assert mine.waiting() == 1
