"""The keeper of leases: one thread a process, only while something long is being sent."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import DatabaseError, InterfaceError

from notifications import lease
from notifications.lease import Holding, Keeper
from tests.conftest import end_keeper
from tests.processes import wait_until


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper()
    yield keeper
    end_keeper(keeper)  # before the patches of the test do


def holding(seconds: float) -> Holding:
    return Holding([(uuid4(), 1)], timedelta(seconds=seconds), "default")


def test_a_short_send_is_never_renewed(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends within a third of its lease costs no statement."""
    renewed: list[Holding] = []
    monkeypatch.setattr(keeper, "renew", renewed.append)
    short = holding(60)
    keeper.add(short)
    keeper.remove(short)
    assert renewed == []


@pytest.mark.slow
def test_renewed_until_it_ends(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long send is renewed again and again, and no longer once it has ended."""
    calls: list[object] = []
    monkeypatch.setattr(lease.statements, "renew", lambda claims, *args: calls.append(claims) or 1)
    long, other = holding(0.03), holding(60)
    keeper.add(other)
    keeper.add(long)
    wait_until(lambda: len(calls) >= 3, timeout=10)
    keeper.remove(long)
    assert calls[0] == long.claims
    assert other.claims not in calls


@pytest.mark.slow
@pytest.mark.parametrize("error", [DatabaseError, InterfaceError])
def test_a_database_that_is_away_is_asked_again(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    """One renewal that fails is said, and the next one may save the lease."""
    answers: list[Callable[[], int]] = []

    def renew(*args: object) -> int:
        answers.append(lambda: 1)
        if len(answers) == 1:
            raise error("away")
        return 1

    monkeypatch.setattr(lease.statements, "renew", renew)
    keeper.add(holding(0.03))
    wait_until(lambda: len(answers) >= 2, timeout=10)
    assert "lease=not-renewed count=1" in caplog.text


@pytest.mark.slow
def test_the_thread_ends_when_it_has_nothing_to_hold(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle process keeps no thread and no connection; the next long send gets a new one."""
    monkeypatch.setattr(lease, "IDLE_SECONDS", 0.01)
    short = holding(60)
    keeper.add(short)
    first = keeper.thread
    assert isinstance(first, threading.Thread)
    keeper.remove(short)
    with keeper.changed:
        keeper.changed.notify()  # instead of a third of a minute
    first.join(timeout=10)
    assert not first.is_alive()
    keeper.add(short)
    assert keeper.thread is not None
    assert keeper.thread is not first
