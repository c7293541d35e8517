"""Which broker URLs are taken."""

import pytest

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
