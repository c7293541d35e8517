"""How a request sees that its PostgreSQL connection is lost, and what one is like whatever is set for its role."""

import select
from collections.abc import Iterator

import psycopg
import pytest
from django.db import OperationalError, connections, transaction
from django.db import connection as default
from django.db.backends.base.base import BaseDatabaseWrapper

from notifications import doctor, health
from notifications.clock import database_now

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


DEFAULTS = "-c DateStyle=SQL,DMY -c default_transaction_isolation=serializable -c TimeZone=Asia/Kathmandu"


def test_what_a_role_has_by_default_changes_nothing() -> None:
    """Law: times are read, and what waited for a row goes on, whatever is set for the role or the server."""
    wrapper = connections.create_connection("default")
    wrapper.settings_dict["OPTIONS"] = wrapper.settings_dict["OPTIONS"] | {"options": DEFAULTS}
    try:
        with wrapper.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("read committed",)
            cursor.execute("SELECT clock_timestamp()")
            assert abs(cursor.fetchone()[0] - database_now()).total_seconds() < 60
    finally:
        wrapper.close()


def test_one_that_only_reads_counts_as_away(client) -> None:
    """Law: a standby is waited for like a server that is away, and both `/readyz` and `doctor` say so."""
    assert not health.only_reads("default")
    with pytest.raises(OperationalError, match="read-only"), transaction.atomic(), default.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
        response = client.get("/readyz")
        findings = [f.text for f in doctor.examine() if (f.what, f.level) == ("database", doctor.ERROR)]
        cursor.execute("CREATE TABLE anything ()")
    assert (response.status_code, list(response.json()["failures"])) == (503, ["database"])
    assert findings == ["It only reads, so that nothing is accepted or delivered."]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_an_encoding_that_cannot_keep_every_text_is_found(other, monkeypatch, encoding) -> None:
    """Law: before the first accent is answered 500."""
    name = f"{default.settings_dict['NAME']}_{encoding.lower()}"
    other.execute(f"DROP DATABASE IF EXISTS {name}")
    other.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    wrapper = connections.create_connection("default")
    wrapper.settings_dict = wrapper.settings_dict | {"NAME": name}
    monkeypatch.setattr(doctor, "connections", {"default": wrapper})
    monkeypatch.setattr(health, "only_reads", lambda using: False)
    try:
        texts = [f.text for f in doctor.DATABASE_LOOKS["database"]() if f.level == doctor.ERROR]
    finally:
        wrapper.close()
        other.execute(f"DROP DATABASE {name}")
    assert texts == [f"It cannot keep every text: its encoding is {encoding}."]


def test_a_right_that_is_missing_is_found() -> None:
    """Law: where migrations are another role's, what was forgotten is named: else each send is repeated for ever."""
    with transaction.atomic(), default.cursor() as cursor:
        cursor.execute("CREATE ROLE notifications_at_run_time")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO notifications_at_run_time")
        cursor.execute("REVOKE INSERT, DELETE ON notifications_attempt FROM notifications_at_run_time")
        cursor.execute("SET LOCAL ROLE notifications_at_run_time")
        findings = [f.text for f in doctor.examine() if (f.what, f.level) == ("database", doctor.ERROR)]
        cursor.execute("RESET ROLE")
        cursor.execute("DROP OWNED BY notifications_at_run_time; DROP ROLE notifications_at_run_time")
    assert findings == ["notifications_attempt: INSERT, DELETE is not allowed."]
