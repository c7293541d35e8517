"""The overview's numbers, and what they cost."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import overview, tasks
from notifications.exceptions import DeliveryError
from notifications.models import Attempt, Heartbeat, Notification, Status
from tests import recording_channel

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]


def test_the_numbers(accepted: Accept) -> None:
    """Each status where it belongs; the attempts in their minute; one reason for what failed alike."""

    def fail(message: recording_channel.Message) -> None:
        raise DeliveryError("no such box", permanent=True, code="550")

    recording_channel.behaviours["gone@example.com"] = fail
    gone = [accepted(recipient="gone@example.com") for _ in range(2)]
    sent = accepted()
    tasks.deliver.call([str(row.pk) for row in (*gone, sent)])
    accepted(due_at=timezone.now() + timedelta(hours=1))
    Notification.objects.filter(pk=accepted().pk).update(next_attempt_at=Now() - timedelta(minutes=3))
    Notification.objects.filter(pk=accepted().pk).update(status=Status.SENDING)
    Notification.objects.filter(pk=accepted().pk).update(status=Status.UNKNOWN)
    now = overview.snapshot()
    counts = [now.queued, now.scheduled, now.sending, now.unknown]
    assert [counted.number for counted in counts] == [1, 1, 1, 1]
    assert (now.sent, now.failed) == (1, 2)
    assert now.oldest is not None
    assert timedelta(minutes=3) <= now.oldest < timedelta(minutes=13)
    assert now.light.level in ("warning", "critical")
    [reason] = now.reasons
    assert (reason.channel, reason.code, reason.count) == ("recording", "550", 2)
    assert now.percentiles is not None
    assert now.percentiles.of == 1


def test_an_empty_house_is_healthy() -> None:
    """With a worker and nothing to do all is well."""
    Heartbeat.objects.create(cluster="host:1 default")
    now = overview.snapshot()
    assert now.light.level == "healthy"
    assert (now.oldest, now.percentiles, now.reasons, now.late) == (None, None, [], [])
    assert len(now.minutes) == 60


def test_a_silent_worker_is_gone(accepted: Accept) -> None:
    """Past the silence that /readyz allows it no longer counts."""
    Heartbeat.objects.create(cluster="host:1 default", seen_at=Now() - timedelta(minutes=2))
    accepted()
    now = overview.snapshot()
    assert now.workers is not None
    assert [worker.lives for worker in now.workers] == [False]
    assert now.light.level == "critical"


def test_what_is_resent_needs_nobody(accepted: Accept) -> None:
    """A reason stands until its last notification was resent."""
    row = accepted()
    Notification.objects.filter(pk=row.pk).update(status=Status.FAILED, attempt_count=1)
    Attempt.objects.create(
        notification=row, number=1, started_at=Now(), finished_at=Now(), outcome="failed", error="why"
    )
    assert [reason.error for reason in overview.snapshot().reasons] == ["why"]
    Notification.objects.filter(pk=accepted().pk).update(resend_of=row.pk)
    assert overview.snapshot().reasons == []


def test_the_late_ones(accepted: Accept) -> None:
    """Scheduled, past its time, not begun."""
    row = accepted(due_at=timezone.now() + timedelta(hours=1))
    past = Now() - timedelta(minutes=1)
    Notification.objects.filter(pk=row.pk).update(
        created_at=Now() - timedelta(hours=1), due_at=past, next_attempt_at=past
    )
    accepted()
    [late] = overview.snapshot().late
    assert late.id == str(row.pk)
    assert late.by >= timedelta(minutes=1)


def test_only_the_newest_attempts_are_looked_at(accepted: Accept, monkeypatch: Any) -> None:
    """And the page says since when. No look at an hour begins with the first attempt there ever was."""
    monkeypatch.setattr(overview, "NEWEST_ATTEMPTS", 2)
    rows = [accepted() for _ in range(4)]
    tasks.deliver.call([str(row.pk) for row in rows])
    with CaptureQueriesContext(connection) as asked:
        now = overview.snapshot()
    of_an_hour = [
        query["sql"] for query in asked if '"notifications_attempt"."finished_at" >=' in query["sql"]
    ]
    assert len(of_an_hour) == 3
    assert all('"notifications_attempt"."id" >' in sql for sql in of_an_hour)
    assert now.sent == 2
    assert now.since is not None


def test_nothing_is_counted_without_end(accepted: Accept, monkeypatch: Any) -> None:
    """Ten million that wait are counted as the bound and more."""
    monkeypatch.setattr(overview, "BOUND", 2)
    for _ in range(5):
        accepted()
    assert overview.snapshot().queued.number == 3


def test_what_it_costs(accepted: Accept, django_assert_num_queries: Any) -> None:
    """The number of statements is the same whatever is there. PostgreSQL is asked for its time, too."""
    statements = 12 if connection.vendor == "postgresql" else 11
    with django_assert_num_queries(statements):
        overview.snapshot()
    for _ in range(3):
        accepted()
    with django_assert_num_queries(statements):
        overview.snapshot()


def test_the_plans_read_indexes(accepted: Accept) -> None:
    """The oldest that waits, and the reasons: no look at all rows, no sort of them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
    waiting = Notification.objects.filter(status=Status.QUEUED, next_attempt_at__lte=Now())
    plan = waiting.order_by("next_attempt_at")[:1].explain()
    assert "notification_queued" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
