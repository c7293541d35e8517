"""A channel's limits hold over all workers and clusters, and nobody is asked twice for a place."""

import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from math import nan
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ

from notifications import pacing, tasks
from notifications.models import ChannelPace, Notification, Status
from notifications.pacing import Limits
from notifications.statements import claim

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]
LEASE = timedelta(seconds=30)


@pytest.fixture
def limit(settings: Any) -> Callable[..., None]:
    """Limit the recording channel."""

    def limit(**limits: float) -> None:
        options = {name.upper(): value for name, value in limits.items()}
        settings.CHANNELS = {
            **settings.CHANNELS,
            "recording": {**settings.CHANNELS["recording"], "LIMITS": options},
        }

    return limit


def claimed(*rows: Notification) -> list[str]:
    ids = [str(row.pk) for row in rows]
    return [c.id for c in pacing.claim(ids, LEASE, "default", tasks.deliver_later)]


def test_without_limits_it_costs_nothing(accepted: Accept, django_assert_num_queries: Any) -> None:
    """One statement, as ever."""
    row = accepted()
    with django_assert_num_queries(1):
        assert claimed(row) == [str(row.pk)]


@pytest.mark.slow
def test_max_per_second(accepted: Accept, limit: Callable[..., None]) -> None:
    """One goes at once; each of the others gets a time of its own, spaced by the rate."""
    limit(max_per_second=10)
    rows = [accepted() for _ in range(30)]
    OrmQ.objects.all().delete()
    assert len(claimed(*rows)) == 1
    times = list(
        Notification.objects.filter(status=Status.QUEUED)
        .order_by("pk")
        .values_list("next_attempt_at", flat=True)
    )
    gaps = {round((later - earlier).total_seconds(), 3) for earlier, later in pairwise(times)}
    assert gaps == {0.1}
    assert list(OrmQ.objects.order_by("pk").values_list("lock", flat=True)) == times


def had_their_time(ago: timedelta) -> None:
    """All that wait for a time of theirs: it was so long ago."""
    waiting = Notification.objects.filter(status=Status.QUEUED)
    waiting.update(next_attempt_at=Now() - ago)
    waiting.update(slot_at=F("next_attempt_at"))


def test_a_time_that_was_given_is_kept(accepted: Accept, limit: Callable[..., None]) -> None:
    """When it has come, it is sent: it is not put off once more behind those who came later."""
    limit(max_per_second=1)
    rows = [accepted() for _ in range(5)]
    assert len(claimed(*rows)) == 1
    had_their_time(timedelta(0))
    assert len(claimed(*rows)) == 4


def test_after_a_stop_the_rate_holds(accepted: Accept, limit: Callable[..., None]) -> None:
    """What had its time while no cluster ran does not go at once: one does, and the others get times anew."""
    limit(max_per_second=10)
    rows = [accepted() for _ in range(5)]
    assert len(claimed(*rows)) == 1
    had_their_time(timedelta(minutes=1))
    ChannelPace.objects.update(free_at=Now() - timedelta(minutes=1))
    assert len(claimed(*rows)) == 1
    times = Notification.objects.filter(status=Status.QUEUED).order_by("pk").values_list("slot_at", flat=True)
    assert [(later - earlier).total_seconds() for earlier, later in pairwise(times)] == [0.1, 0.1]
    assert min(times) > timezone.now() - timedelta(seconds=5)


def test_max_concurrent_counts_what_every_worker_sends(accepted: Accept, limit: Callable[..., None]) -> None:
    """What others are sending takes room; the rest comes back, spaced by how long a send takes."""
    limit(max_concurrent=4)
    ChannelPace.objects.create(channel="recording", free_at=accepted().created_at, seconds=2.0)
    rows = [accepted() for _ in range(10)]
    claim([str(row.pk) for row in rows[:3]], LEASE, "default")  # another worker
    assert claimed(*rows[3:]) == [str(rows[3].pk)]
    times = list(
        Notification.objects.filter(slot_at__isnull=False).order_by("pk").values_list("slot_at", flat=True)
    )
    assert len(times) == 6
    assert {(b - a).total_seconds() for a, b in pairwise(times)} == {0.5}
    assert claimed(*rows) == [], "there is no room, and no time has come"


def test_a_free_place_is_taken_at_once(accepted: Accept, limit: Callable[..., None]) -> None:
    """As soon as one has been sent there is room for the next."""
    limit(max_concurrent=1)
    rows = [accepted() for _ in range(3)]
    for row in rows:
        tasks.deliver.call([str(row.pk)])
    assert set(Notification.objects.values_list("status", flat=True)) == {Status.SENT}


def test_other_channels_are_not_limited(accepted: Accept, limit: Callable[..., None]) -> None:
    """A limit is a channel's own."""
    limit(max_concurrent=1)
    rows = [accepted(channel=channel) for channel in ("recording", "log", "recording", "log")]
    assert len(claimed(*rows)) == 3


def test_how_long_a_send_takes_is_learnt(accepted: Accept, limit: Callable[..., None]) -> None:
    """The average follows, slowly; channels without such a limit cost no statement."""
    limit(max_concurrent=1)
    ChannelPace.objects.create(channel="recording", free_at=accepted().created_at, seconds=1.0)
    pacing.learn("recording", 2.0, "default")
    assert ChannelPace.objects.get().seconds == pytest.approx(1.2)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_four_workers_together_keep_the_limit(accepted: Accept, limit: Callable[..., None]) -> None:
    """They claim at the same moment: never more than the limit is being sent."""
    limit(max_concurrent=5)
    batches = [[accepted() for _ in range(5)] for _ in range(4)]
    barrier = threading.Barrier(4)
    won: list[str] = []

    def work(batch: list[Notification]) -> None:
        try:
            barrier.wait(timeout=10)
            won.extend(claimed(*batch))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(won) == Notification.objects.filter(status=Status.SENDING).count() == 5


@pytest.mark.parametrize(
    "options",
    [
        {"MAX_PER_MINUTE": 1},
        {"MAX_PER_SECOND": 0},
        {"MAX_CONCURRENT": "4"},
        {"MAX_CONCURRENT": 0.5},
        {"MAX_PER_SECOND": nan},
    ],
)
def test_a_wrong_limit_is_named(options: dict[str, Any]) -> None:
    """By the option's name."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Limits.from_options(options)


def test_what_waits_is_found_by_id(accepted: Accept) -> None:
    """Not through a backlog that statistics know nothing of."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite keeps no statistics here")
    rows = [accepted() for _ in range(300)]
    Notification.objects.update(status=Status.SENT)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE notifications_notification")
    Notification.objects.update(status=Status.QUEUED)
    found = pacing._by_id([str(row.pk) for row in rows[:20]], "default")
    assert found.count() == 20
    assert "notification_queued" not in found.filter(next_attempt_at__lte=Now()).explain()
