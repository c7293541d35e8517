"""A host whose clock is an hour off: what decides is the database's clock, here as in the statements."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.tasks import TaskResultStatus
from django.utils import timezone
from django_q.models import OrmQ
from rest_framework.test import APIClient

from notifications import limits, orders, overview, services, tasks
from notifications.backends.queue.aftermath import settle_crashed
from notifications.backends.queue.broker import OrmBroker
from notifications.clock import database_now
from notifications.exceptions import RecipientLimitReached
from notifications.models import Heartbeat, Notification, Status
from tests.processes import DATABASE_URL

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
Accept = Callable[..., Notification]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not DATABASE_URL.startswith("postgres"), reason="SQLite has no host but this one"),
    pytest.mark.parametrize("off", [-HOUR, HOUR], ids=["behind", "ahead"], indirect=True),
]


@pytest.fixture
def off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """This host's clock is so far off."""
    real: timedelta = request.param
    monkeypatch.setattr(timezone, "now", lambda: datetime.now(UTC) + real)
    monkeypatch.setattr(time, "time", lambda: (datetime.now(UTC) + real).timestamp())
    return real


def due_entries() -> list[OrmQ]:
    return list(OrmQ.objects.filter(lock__lte=Now()))


def test_what_is_scheduled_waits_until_then(off: timedelta, accepted: Accept) -> None:
    """A host ahead does not take half an hour from now for the past."""
    half_an_hour = database_now() + HOUR / 2
    items = [{"recipient": "you@example.com", "message": "hello", "due_at": half_an_hour}] * 2
    rows = [accepted(due_at=half_an_hour), *services.accept_many(items)]
    assert [row.next_attempt_at for row in rows if isinstance(row, Notification)] == [half_an_hour] * 3
    assert not due_entries()


def test_what_was_due_is_due(off: timedelta, accepted: Accept) -> None:
    """A host behind does not make half an hour ago a time to wait for."""
    row = accepted(due_at=database_now() - HOUR / 2)
    assert row.due_at == row.created_at
    assert len(due_entries()) == 1


def test_many_look_at_the_clock_once(off: timedelta, django_assert_num_queries: Any) -> None:
    """Not once for each that is scheduled, and not at all where nothing is."""
    item = {"recipient": "you@example.com", "message": "hello"}
    with django_assert_num_queries(0):
        orders.make_many([item] * 3, owner=None)
    with django_assert_num_queries(1):
        orders.make_many([item | {"due_at": timezone.now()}] * 3, owner=None)


def test_sent_again_is_due_at_once(off: timedelta, accepted: Accept) -> None:
    """Whoever decides on a host ahead does not wait for an hour."""
    row = accepted()
    OrmQ.objects.all().delete()
    Notification.objects.update(status=Status.UNKNOWN)
    services.send_again(row)
    assert len(due_entries()) == 1


@pytest.mark.parametrize(("silent", "status"), [(timedelta(), 200), (MINUTE, 503)])
def test_workers_are_heard(off: timedelta, client: Any, silent: timedelta, status: int) -> None:
    """`/readyz`, the overview and `doctor` neither miss a living worker nor believe in a dead one."""
    Heartbeat.objects.create(cluster="host:1 default", seen_at=database_now() - silent)
    assert client.get("/readyz").status_code == status
    workers = overview.snapshot().workers
    assert workers is not None
    assert [worker.lives for worker in workers] == [status == 200]


def test_how_long_the_oldest_waits(off: timedelta, api: APIClient, accepted: Accept) -> None:
    """Metrics name ages of the database's clock."""
    accepted()
    Heartbeat.objects.create(cluster="host:1 default", seen_at=database_now())
    text = api.get("/metrics").content.decode()
    for name in ("notifications_oldest_due_seconds", "notifications_worker_silence_seconds"):
        [age] = [line.split()[-1] for line in text.splitlines() if line.startswith(name)]
        assert float(age) < 60, name


def test_hosts_count_in_one_hour(settings: Any, off: timedelta) -> None:
    """Two hosts that counted in different hours would each begin anew, and no limit would hold."""
    settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"hour": 2, "day": 10}
    limits.count("you@example.com")
    with pytest.MonkeyPatch.context() as other_host:
        other_host.setattr(timezone, "now", lambda: datetime.now(UTC))
        other_host.setattr(time, "time", lambda: datetime.now(UTC).timestamp())
        limits.count("you@example.com")
    with pytest.raises(RecipientLimitReached):
        limits.count("you@example.com")


def test_what_a_dead_worker_was_running_comes_back_soon(off: timedelta) -> None:
    """Half a second for each crash, not an hour, and not at once."""
    tasks.deliver.enqueue([])
    entry = OrmQ.objects.get()
    settle_crashed(OrmBroker("default"), [entry.pk], "died", time.monotonic())
    [again] = OrmQ.objects.values_list("lock", flat=True)
    assert timedelta() < again - database_now() + timedelta(seconds=0.5) < MINUTE


def test_what_runs_is_seen_to_run(off: timedelta) -> None:
    """A result tells from the lease whether a worker has it."""
    result = tasks.deliver.enqueue([])
    OrmBroker("default").claim(1)
    result.refresh()
    assert result.status == TaskResultStatus.RUNNING
