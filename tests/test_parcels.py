"""Many for one channel that shares connections: few connections under load, and nobody behind a stuck one."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from notifications import concurrent, pacing, services, tasks
from notifications import senders as room
from notifications.models import Notification, Status
from notifications.parcels import Parcels
from tests import recording_channel
from tests.processes import wait_until
from tests.smtp_server import HANG, Server, serving

Accept = Callable[..., Notification]
in_database = pytest.mark.django_db(transaction=True)
NEVER = 60.0  # seconds until more threads are added


@pytest.fixture(autouse=True)
def senders(no_lookup: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(room, "_senders", None)
    monkeypatch.setattr(concurrent, "GROW", NEVER)
    yield
    room.senders().executor.shutdown(wait=True)


@pytest.fixture
def mails(settings: Any) -> Callable[..., list[str]]:
    """So many wait for this server. Their ids, the oldest first."""

    def accept(server: Server, count: int, **fields: Any) -> list[str]:
        options = {"host": "127.0.0.1", "port": server.port}
        smtp = {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}
        settings.MAILERS = {"default": smtp}
        email = {"BACKEND": "notifications.channels.email.EmailChannel"}
        settings.CHANNELS = {**settings.CHANNELS, "email": email}
        order = {"message": "hello", "channel": "email", "via": "queue", **fields}
        rows = services.accept_many({"recipient": f"you{n}@example.com", **order} for n in range(count))
        return [str(row.pk) for row in rows if isinstance(row, Notification)]

    return accept


def sent() -> int:
    return Notification.objects.filter(status=Status.SENT).count()


def at_rest() -> bool:
    return room.senders().free == room.senders().limit


@in_database
@pytest.mark.slow
def test_one_connection_carries_many(mails: Any) -> None:
    """Two hundred that wait take four connections, and each is sent once."""
    with serving() as server:
        tasks.deliver_slowly.call(mails(server, 200))
        wait_until(at_rest)
        assert (sent(), len(server.messages), len({mail["To"] for mail in server.messages})) == (200,) * 3
        assert server.connections <= 4


@pytest.mark.slow
@in_database
def test_a_connection_ends_after_so_many(mails: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread takes no more than its share, so that others get theirs; what is left is begun when it has ended."""
    monkeypatch.setattr(concurrent, "MOST", 1)
    over = threading.Event()

    def deliver(ids: list[str]) -> None:
        try:
            tasks.deliver_slowly.call(ids)
        finally:
            connections.close_all()
            over.set()

    with serving() as server:
        threading.Thread(target=deliver, args=[mails(server, 40)], daemon=True).start()
        assert over.wait(NEVER / 2)
        wait_until(at_rest)
        assert (sent(), server.connections) == (40, 4)


@pytest.mark.slow
@in_database
def test_a_stuck_one_holds_up_its_own_parcel_only(mails: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task ends and the others are sent, by more threads, while it hangs."""
    monkeypatch.setattr(concurrent, "GROW", 0.01)
    with serving(lambda at, to: HANG if at == "rcpt" and "you0@" in to else None) as server:
        tasks.deliver_slowly.call(mails(server, 50))
        wait_until(lambda: sent() == 40)
        assert Notification.objects.filter(status=Status.SENDING).count() == 10
        server.ended.set()


@pytest.mark.slow
@in_database
def test_beside_others(mails: Any, accepted: Accept) -> None:
    """One job may bring what goes alone, and what is over or gone: that costs no thread."""
    alone = accepted(channel="waiting")
    with serving() as server:
        ids = mails(server, 25)
        services.cancel(Notification.objects.get(pk=ids[3]))
        Notification.objects.get(pk=ids[4]).delete()
        tasks.deliver_slowly.call([*ids, str(alone.pk), *ids])
        wait_until(at_rest)
        assert (sent(), len(server.messages)) == (24, 23)
    assert len(recording_channel.sent()) == 1


@pytest.mark.slow
@in_database
def test_those_that_a_limit_puts_off(mails: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets its time at once: where no thread has begun, there is none to wait for."""
    with serving() as server:
        ids = mails(server, 31)
        limited = {**settings.CHANNELS["email"], "LIMITS": {"MAX_PER_SECOND": 0.01}}
        settings.CHANNELS = {**settings.CHANNELS, "email": limited}
        tasks.deliver_slowly.call(ids[:1])
        wait_until(at_rest)
        monkeypatch.setattr(concurrent, "GROW", "no time at all")  # nobody can wait for so long
        tasks.deliver_slowly.call(ids[1:])
    assert (sent(), Notification.objects.filter(slot_at__isnull=False).count()) == (1, 30)


@pytest.mark.slow
@in_database
def test_a_claim_that_fails_on_a_thread(mails: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parcel waits again, and is begun by another thread: nothing is left to the sweep."""
    monkeypatch.setattr(concurrent, "GROW", 0.01)
    claim, main, failed = pacing.claim, threading.current_thread(), threading.Event()
    begun = iter([True])

    def fail_once(*args: Any) -> Any:
        if threading.current_thread() is main:
            assert next(begun, False) or failed.wait(30)
        elif not failed.is_set():
            failed.set()
            raise ZeroDivisionError
        return claim(*args)

    monkeypatch.setattr(pacing, "claim", fail_once)
    with serving() as server:
        tasks.deliver_slowly.call(mails(server, 50))
        wait_until(at_rest)
        assert failed.is_set()
        assert (sent(), len(server.messages)) == (50, 50)


def test_what_is_not_claimed_waits_again() -> None:
    """In its place; and it is not over while somebody has it in hand."""
    parcels = Parcels(str(n) for n in range(25))
    with pytest.raises(ZeroDivisionError), parcels.taken(2) as chosen:
        assert chosen == [str(n) for n in range(20)]
        raise ZeroDivisionError
    with parcels.taken(9) as chosen:
        assert chosen == [str(n) for n in range(25)]
        assert not parcels.waiting
        assert not parcels.are_claimed(within=0)
    assert parcels.are_claimed(within=0)
