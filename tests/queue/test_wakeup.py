"""How an idle cluster hears of a new entry, and how seldom it is told under load."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from notifications.backends.queue import wakeup
from notifications.backends.queue.wakeup import Listener

from . import tasks
from .conftest import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def full_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "_bucket", wakeup._Bucket())


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener("default")
    listener.open()
    listener.heard()
    yield listener
    listener.close()


def elsewhere(*, roll_back: bool = False) -> None:
    """Enqueue through another connection."""

    def enqueue() -> None:
        try:
            with transaction.atomic():
                tasks.add.enqueue(1)
                transaction.set_rollback(roll_back)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(enqueue).result(20)


def test_a_commit_is_heard(listener: Listener) -> None:
    """Law: the entry of another process is heard once, when it is there."""
    assert not listener.heard()
    elsewhere()
    assert wait_for(listener.heard)
    assert not listener.heard()


def test_a_rollback_is_not_heard_and_silences_nobody(listener: Listener) -> None:
    for _ in range(2 * wakeup.BURST):
        elsewhere(roll_back=True)
    assert not listener.heard()
    assert wakeup.may_notify()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_waits_for_no_thread_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Celery worker forks while its housekeeping enqueues: the child must be able to, too."""
    monkeypatch.undo()  # the bucket of this process, which the fork is to find
    with wakeup._bucket.lock:
        child = os.fork()
        if child == 0:
            os._exit(wakeup._bucket.lock.locked())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_under_load_few_are_told() -> None:
    """Law: after a burst a process says it again only when a while has passed."""
    told = [wakeup.may_notify() for _ in range(50) if [tasks.add.enqueue(1)]]
    assert told[0]
    assert not all(told)
    assert connection.vendor == "postgresql"
