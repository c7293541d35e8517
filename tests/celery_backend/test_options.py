"""Which broker URLs are taken."""

from typing import Any

import pytest

from notifications.backends.celery.app import check_served
from notifications.backends.celery.conf import check_options


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        "pigeon://x",
        "sentinel://host:26379",
        "redis://host:port/0",
        "redis://host/name",
        "redis://host/0?unknown=1",
        "amqp://[::1",
        "amqp://host//?heartbeat=often",
        "amqps://host//?ssl_cert_reqs=required",
        "amqp:guest@host",
        "AMQP://host//",  # which Celery takes for something else
        " amqp://host//",
        "amqp://host//;",
        "amqp://host//;redis://host/0",
    ],
)
def test_no_broker(url: str) -> None:
    """What no connection could be opened to, whatever happens."""
    assert "notifications.celery.E002" in [error.id for error in check_options("celery", {"BROKER_URL": url})]


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    ["amqp://", "redis:///5", "rediss://:p%40@[::1]:6379/?ssl_cert_reqs=required", "amqps://a/v;amqps://b/v"],
)
def test_brokers(url: str) -> None:
    """Also several of a kind, of which the next is tried where one is away."""
    assert not list(check_options("celery", {"BROKER_URL": url}))


@pytest.mark.parametrize(
    ("options", "is_served"),
    [
        ({}, True),
        ({"FALLBACK": "thread"}, True),
        ({"BROKER_URL": "amqp://b//"}, False),
        ({"QUEUE_PREFIX": "b."}, False),
    ],
)
def test_an_alias_without_workers(settings: Any, options: dict[str, Any], *, is_served: bool) -> None:
    """`celery -A project worker` is one of the first alias: what another one accepts would wait for ever."""
    first = {
        "BACKEND": "notifications.backends.celery.CeleryBackend",
        "OPTIONS": {"BROKER_URL": "amqp://a//"},
    }
    second = first | {"OPTIONS": first["OPTIONS"] | options}
    settings.TASKS = {**settings.TASKS, "first": first, "second": second}
    assert not list(check_served("first"))
    assert (not list(check_served("second"))) is is_served
