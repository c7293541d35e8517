"""How a request sees that its PostgreSQL connection is lost, without a round trip while it is not."""

import select
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection as default
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(default.vendor != "postgresql", reason="SQLite has no connection that could be lost"),
]


@pytest.fixture
def connection() -> Iterator[BaseDatabaseWrapper]:
    """One of its own."""
    wrapper = connections.create_connection("default")
    wrapper.ensure_connection()
    yield wrapper
    wrapper.close()


@pytest.fixture
def other() -> Iterator[psycopg.Connection]:
    """Somebody else on the same server."""
    parameters = default.get_connection_params() | {"cursor_factory": None}
    with psycopg.connect(**parameters, autocommit=True) as raw:
        yield raw


def statements(raw: psycopg.Connection, pid: int) -> str:
    """The last one that the backend `pid` was asked."""
    return raw.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()[0]


def test_one_that_lives_is_asked_nothing(connection, other) -> None:
    """Law: while nothing has come in, no statement is sent."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'the last word'")
    assert connection.is_usable()
    assert "the last word" in statements(other, connection.connection.info.backend_pid)


def test_one_that_the_server_has_ended_is_not_usable(connection, other) -> None:
    """Law: the next request opens its own."""
    other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    assert not connection.is_usable()


def test_one_that_was_told_something_is_asked(connection, other) -> None:
    """Law: what comes in unasked need not be the end; then the server's own answer decides."""
    with connection.cursor() as cursor:
        cursor.execute("LISTEN somebody")
    other.execute("NOTIFY somebody")
    assert select.select([connection.connection], [], [], 20)[0], "it never came"
    assert connection.is_usable()
    assert statements(other, connection.connection.info.backend_pid) == "SELECT 1"


def test_one_that_is_closed_is_not_usable(connection) -> None:
    """Law: closed here, or never opened: no error."""
    connection.connection.close()
    assert not connection.is_usable()
    connection.connection = None
    assert not connection.is_usable()
