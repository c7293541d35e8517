"""How a transaction waits for SQLite's one writer."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import OperationalError, connections
from django.db.utils import load_backend

from project.database import JOURNAL_BYTES, SQLITE
from project.sqlite3 import base

pytestmark = pytest.mark.django_db


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[base.DatabaseWrapper]:
    """One of its own, to a file of its own, whatever database the tests run on."""
    settings = dict(connections["default"].settings_dict)
    settings |= {
        "ENGINE": "project.sqlite3",
        "NAME": str(tmp_path / "db.sqlite3"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 10},
    }
    wrapper = load_backend("project.sqlite3").DatabaseWrapper(settings, "other")
    yield wrapper
    wrapper.close()


@pytest.fixture
def writer(connection: base.DatabaseWrapper) -> Iterator[sqlite3.Connection]:
    """Somebody else who holds the writer."""
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_a_transaction_waits_until_the_writer_is_free(connection, writer, monkeypatch) -> None:
    """It looks again and again, in steps that SQLite's own wait would not take, and begins when it can."""
    steps: list[float] = []

    def step(seconds: float) -> None:
        steps.append(seconds)
        if len(steps) == 20:
            writer.execute("COMMIT")

    monkeypatch.setattr(base, "sleep", step)
    connection.ensure_connection()
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE written (id)")
    connection.commit()
    connection.set_autocommit(True)
    assert len(steps) == 20
    assert max(steps) == base.LONGEST_STEP


def test_a_statement_by_itself_waits_as_well(connection, writer, monkeypatch) -> None:
    """A claim is one statement, and a transaction by itself; so is each of many."""
    writer.execute("CREATE TABLE written (id)")
    writer.execute("COMMIT")
    held: list[float] = []

    def step(seconds: float) -> None:
        held.append(seconds)
        writer.execute("COMMIT")

    monkeypatch.setattr(base, "sleep", step)
    with connection.cursor() as cursor:
        writer.execute("BEGIN IMMEDIATE")
        cursor.execute("INSERT INTO written VALUES (1)")
        writer.execute("BEGIN IMMEDIATE")
        cursor.executemany("INSERT INTO written VALUES (%s)", [(2,), (3,)])
        assert cursor.execute("SELECT id FROM written").fetchall() == [(1,), (2,), (3,)]
    assert len(held) == 2


def test_nobody_waits_inside_a_transaction(connection, writer, monkeypatch) -> None:
    """Who only read so far and finds the writer taken would wait for nothing: an error, at once."""
    monkeypatch.setattr(base, "sleep", lambda seconds: pytest.fail("waited"))
    writer.execute("CREATE TABLE written (id)")
    writer.execute("COMMIT")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN DEFERRED")
        cursor.execute("SELECT id FROM written").fetchall()
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            cursor.execute("INSERT INTO written VALUES (1)")
        cursor.execute("ROLLBACK")


@pytest.mark.slow
def test_a_writer_that_is_never_free_is_an_error(connection, writer) -> None:
    """After the timeout: Django's own error."""
    connection.settings_dict["OPTIONS"]["timeout"] = 0.05
    connection.ensure_connection()
    with pytest.raises(OperationalError, match="locked"):
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def test_another_error_is_raised_at_once(connection, monkeypatch) -> None:
    """Only a taken writer is worth waiting for."""
    monkeypatch.setattr(base, "sleep", lambda seconds: pytest.fail("waited"))
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="within a transaction"):
        connection._start_transaction_under_autocommit()
    with connection.cursor() as cursor:
        cursor.execute("ROLLBACK")


@pytest.mark.slow
def test_what_a_long_reader_made_of_the_journal_does_not_stay(tmp_path: Path) -> None:
    """While somebody reads, a backup say, nothing in the journal is used again, and it grows. Afterwards it is cut."""
    file = tmp_path / "db.sqlite3"
    writer, reader = (sqlite3.connect(file, isolation_level=None) for _ in range(2))
    for connection in (writer, reader):
        connection.executescript(str(SQLITE["init_command"]))
    writer.execute("CREATE TABLE written (value)")
    reader.execute("BEGIN").execute("SELECT * FROM written").fetchall()
    for _ in range(3):
        writer.execute("INSERT INTO written VALUES (zeroblob(?))", [JOURNAL_BYTES // 2])
    journal = tmp_path / "db.sqlite3-wal"
    assert journal.stat().st_size > JOURNAL_BYTES
    reader.execute("COMMIT")
    for _ in range(2):  # the first copies all there is into the database, the second begins anew
        writer.execute("INSERT INTO written VALUES (1)")
    assert journal.stat().st_size <= JOURNAL_BYTES
    writer.close()
    reader.close()
