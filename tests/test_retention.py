"""What is over is deleted when its time has come; what is about a person, when they ask."""

from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.utils import timezone
from django_q.models import Task

from notifications import housekeeping, limits, metrics, retention, services
from notifications.models import Attempt, IdempotencyKey, Notification, Outcome, RecipientCount, Status

pytestmark = pytest.mark.django_db

KEEP = {"sent": 30, "failed": 90}


@pytest.fixture(autouse=True)
def _keep(settings) -> None:
    settings.NOTIFICATIONS_KEEP_DAYS = KEEP


def old(status: Status, days: float, recipient: str = "you@example.com") -> Notification:
    """One that came, was tried and ended so many days ago."""
    moment = timezone.now() - timedelta(days=days)
    notification = services.accept(recipient=recipient, message="text")
    Notification.objects.filter(pk=notification.pk).update(
        status=status, created_at=moment, finished_at=None if status == Status.UNKNOWN else moment
    )
    Attempt.objects.create(
        notification=notification, number=1, started_at=moment, finished_at=moment, outcome=Outcome.SENT
    )
    return notification


def left() -> set[object]:
    return set(Notification.objects.values_list("pk", flat=True))


@pytest.mark.slow
def test_what_is_older_than_its_status_allows_is_deleted_with_its_attempts() -> None:
    """Each status has its own time; younger ones, others and what is not final stay."""
    gone = [old(Status.SENT, 31), old(Status.FAILED, 91)]
    kept = [
        old(Status.SENT, 29),
        old(Status.FAILED, 31),
        old(Status.CANCELLED, 400),
        old(Status.UNKNOWN, 400),
        old(Status.QUEUED, 400),
    ]
    assert retention.prune(dry_run=True) == {"sent": 1, "failed": 1}
    assert left() == {row.pk for row in gone + kept}
    assert retention.prune() == {"sent": 1, "failed": 1}
    assert left() == {row.pk for row in kept}
    assert Attempt.objects.count() == len(kept)
    assert retention.prune() == {}


def result(days: float, *, is_ours: bool = True) -> str:
    """What a task that ended so many days ago has left."""
    moment = timezone.now() - timedelta(days=days)
    id = f"{int(moment.timestamp() * 1000):012x}7{uuid4().hex[13:]}" if is_ours else "f" * 32
    Task.objects.create(id=id, name="t", func="f", started=moment, stopped=moment, success=True)
    return id


def test_results_of_tasks_have_their_time_too(settings, monkeypatch) -> None:
    """They are found by their ids, which carry the time, the oldest first; a random id tells nothing, and stays."""
    monkeypatch.setattr(retention, "PAGE", 2)
    settings.NOTIFICATIONS_KEEP_DAYS = {"tasks": 7}
    ages = [30, 20, 10, 8]
    old_ones, young = [result(days) for days in ages], result(6)
    random = result(30, is_ours=False)
    assert retention.prune(dry_run=True) == {"tasks": 4}
    assert retention.prune(pages=1) == {"tasks": 2}
    assert set(Task.objects.values_list("pk", flat=True)) == {*old_ones[2:], young, random}
    assert retention.prune() == {"tasks": 2}
    assert set(Task.objects.values_list("pk", flat=True)) == {young, random}
    settings.NOTIFICATIONS_KEEP_DAYS = {"sent": 1}
    result(30)
    assert retention.prune() == {}


def test_a_long_time_in_the_queue_does_not_count() -> None:
    """The time begins when it ended, not when it came."""
    row = old(Status.SENT, 31)
    Notification.objects.filter(pk=row.pk).update(finished_at=timezone.now())
    assert retention.prune() == {}


@pytest.mark.slow
def test_housekeeping_deletes_a_page_at_a_time(monkeypatch) -> None:
    """A drain waits for one page, not for a year's rows."""
    monkeypatch.setattr(retention, "PAGE", 2)
    monkeypatch.setattr("notifications.heartbeat._beaten_at", -100.0)
    for _ in range(5):
        old(Status.SENT, 31)
    housekeeping.housekeep()
    assert Notification.objects.count() == 3
    assert retention.prune() == {"sent": 3}


def test_sessions_that_have_ended_are_deleted() -> None:
    """Django deletes none by itself. One that goes on stays."""
    moment = timezone.now()
    for key, left_over in (("ended", timedelta(days=-1)), ("open", timedelta(days=1))):
        Session.objects.create(session_key=key, session_data="", expire_date=moment + left_over)
    services.prune()
    assert [session.session_key for session in Session.objects.all()] == ["open"]


def test_totals_do_not_fall() -> None:
    """What is deleted has been counted before."""
    old(Status.SENT, 31)
    retention.prune()
    [total] = metrics.count_attempts()
    assert (total.outcome, total.count) == ("sent", 1)


def test_prune_by_hand() -> None:
    """It says how many of each status; a dry run deletes nothing."""
    old(Status.SENT, 31)
    out = StringIO()
    call_command("prune", dry_run=True, stdout=out)
    assert "sent, older than 30 days: 1 would be deleted" in out.getvalue()
    call_command("prune", stdout=out)
    assert "sent, older than 30 days: 1 deleted" in out.getvalue()
    assert not left()


@pytest.mark.parametrize("wrong", [{"sending": 3}, {"sent": 0}])
def test_a_wrong_setting_is_refused_at_start(settings, wrong) -> None:
    """Nobody loses rows by a misspelt status."""
    settings.NOTIFICATIONS_KEEP_DAYS = wrong
    with pytest.raises(SystemCheckError, match="E019"):
        call_command("check")


@pytest.mark.slow
def test_a_person_is_forgotten(settings) -> None:
    """Rows of every status, in any case; the stored answer's body and the counts. Others keep theirs."""
    settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"hour": 10}
    old(Status.SENT, 1, "Ann@example.com")
    old(Status.QUEUED, 0, "ann@example.com")
    other = old(Status.SENT, 1, "joann@example.com")
    answer = {"fingerprint": "f", "status_code": 202}
    IdempotencyKey.objects.create(digest="a", body='{"recipient": "ann@example.com"}', **answer)
    IdempotencyKey.objects.create(digest="b", body='{"recipient": "joann@example.com"}', **answer)
    out = StringIO()
    call_command("forget", "ann@example.com", dry_run=True, stdout=out)
    assert "notifications: 2 would be erased" in out.getvalue()
    assert Notification.objects.count() == 3
    assert retention.forget("ann@example.com") == {"notifications": 2, "answers": 1, "counts": 1}
    assert left() == {other.pk}
    assert IdempotencyKey.objects.get(pk="a").body == "{}"
    assert "joann" in IdempotencyKey.objects.get(pk="b").body
    assert limits.counted(["joann@example.com"]).exists()
    assert RecipientCount.objects.count() == 2
    call_command("forget", "nobody@example.com", stdout=out)
    assert "Nothing is kept" in out.getvalue()


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("you@münchen.de", "you@münchen.de"),
        ("you@münchen.de", "YOU@xn--mnchen-3ya.de"),
        ("you@MÜNCHEN.DE", "you@München.de"),
        ("YOU@EXAMPLE.COM", "you@example.com"),
        ("ü@example.com", "ü@EXAMPLE.com"),
        ("ü@example.com", "u\u0308@example.com"),
    ],
)
def test_a_person_is_forgotten_however_the_address_is_spelled(api, settings, given: str, asked: str) -> None:
    """As it was given or as it is stored: the row, the count, and the stored answer, which is JSON in UTF-8."""
    settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"hour": 10}
    body = {"recipient": given, "message": "secret"}
    headers = {"Idempotency-Key": "once"}
    assert api.post("/api/v1/notifications", body, "json", headers=headers).status_code == 202
    assert "secret" in IdempotencyKey.objects.get().body
    found = retention.forget(asked)
    assert (found["notifications"], found["answers"]) == (1, 1)
    assert not Notification.objects.exists()
    assert IdempotencyKey.objects.get().body == "{}"
    if given == asked:
        assert found["counts"] == 1
