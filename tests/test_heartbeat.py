"""A cluster says that it lives, and is forgotten when it has not for long."""

from datetime import timedelta

import pytest
from django.tasks import default_task_backend
from django.utils import timezone

from notifications import heartbeat, housekeeping
from notifications.models import Heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def never_beaten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_beaten_at", -heartbeat.EVERY)


def test_a_beat_is_heard_through_the_backend() -> None:
    """One row for each cluster, with the database's time, renewed by the next beat."""
    housekeeping.housekeep()
    ((cluster, first),) = default_task_backend.heartbeats()
    assert cluster.endswith(" default")
    assert abs(timezone.now() - first) < timedelta(minutes=1)
    heartbeat._beaten_at = -heartbeat.EVERY
    heartbeat.beat()
    ((again, second),) = default_task_backend.heartbeats()
    assert again == cluster
    assert second >= first


def test_between_two_beats_nothing_is_asked(django_assert_num_queries: object) -> None:
    """The sweep runs every two seconds, the beat every ten."""
    heartbeat.beat()
    with django_assert_num_queries(0):  # type: ignore[operator]
        heartbeat.beat()


def test_the_dead_are_forgotten() -> None:
    """A list of clusters is not a graveyard."""
    Heartbeat.objects.create(cluster="gone:1 default", seen_at=timezone.now() - timedelta(days=1))
    Heartbeat.objects.create(cluster="silent:1 default", seen_at=timezone.now() - timedelta(minutes=5))
    heartbeat.beat()
    clusters = [row.cluster.split(":")[0] for row in Heartbeat.objects.all()]
    assert len(clusters) == 2
    assert clusters[-1] == "silent"
