"""The claim of entries that PostgreSQL plans once for each connection."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, ProgrammingError, connection, transaction

from notifications.backends.queue.entries import NewEntry
from notifications.backends.queue.planned import BY_INDEX, Planned
from notifications.backends.queue.sql import QueueTable
from notifications.backends.queue.texts import PG_CLAIM

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans nothing for later"),
]

LEASE = timedelta(seconds=30)


@pytest.fixture
def session() -> Iterator[Any]:
    """A connection that has planned nothing yet, and is used for nothing else."""
    connection.close()
    connection.ensure_connection()
    yield connection.connection
    connection.close()


def claims_one() -> bool:
    table = QueueTable("default")
    table.insert([NewEntry("default", "payload", None)], notify=False)
    return len(table.claim("default", 10, LEASE)) == 1


def is_prepared() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE name = 'notifications_claim_entries'"
        )
        return bool(cursor.fetchone()[0])


def test_it_is_planned_once(session: Any) -> None:
    """Law: the first claim of a connection prepares it, the next ones find it."""
    assert not is_prepared()
    assert all(claims_one() for _ in range(8))
    assert is_prepared()


def test_not_where_there_is_no_session(session: Any) -> None:
    """Law: behind a pooler (`prepare_threshold` None) nothing is prepared, and the claim is the same."""
    session.prepare_threshold = None
    assert claims_one()
    assert not is_prepared()


def test_not_inside_a_transaction(session: Any) -> None:
    """Law: there an error would end the transaction, and the settings of the plan would stay in it."""
    with transaction.atomic():
        assert claims_one()
        assert not is_prepared()
        with connection.cursor() as cursor:
            cursor.execute("SHOW enable_seqscan")
            assert cursor.fetchone() == ("on",)


def test_its_settings_end_with_it(session: Any) -> None:
    """Law: whatever else uses the connection is planned, and committed, as ever."""
    assert claims_one()
    with connection.cursor() as cursor:
        for name in (
            "enable_seqscan",
            "enable_sort",
            "enable_hashjoin",
            "enable_mergejoin",
            "synchronous_commit",
        ):
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == ("on",), name


def test_a_plan_that_is_kept_reads_no_table(session: Any) -> None:
    """Law: planned while the table was empty, it takes the indexes when there is a backlog."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE django_q_ormq")
        assert PG_CLAIM.rows(cursor, ["default", 10, LEASE]) == []
        cursor.execute(f"{BY_INDEX}EXPLAIN EXECUTE {PG_CLAIM.name} (%s, %s, %s)", ["default", 10, LEASE])
        while cursor.nextset():
            pass
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "notifications_queue_key_lock" in plan
    assert "django_q_ormq_pkey" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    assert "$1" in plan  # the one that is kept: it has parameters


def test_what_was_dropped_is_prepared_again(session: Any) -> None:
    """Law: a reset of the session, or psycopg after a rollback, may take it away; nobody notices."""
    assert claims_one()
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    assert claims_one()
    assert is_prepared()


def test_any_other_error_is_raised(session: Any) -> None:
    """Law: only a statement that is not there is prepared once more."""
    one = Planned("one", "SELECT 1 FROM django_q_ormq WHERE id = %s")
    with connection.cursor() as cursor:
        assert one.rows(cursor, [0]) == []
        with pytest.raises(DataError):
            one.rows(cursor, ["no number"])
        one.planned = "SELECT nothing, %s"
        with pytest.raises(ProgrammingError, match="nothing"):
            one.rows(cursor, [0])
