"""What is done to many rows, cut off in the middle: nothing is half done, no row is done twice, none is left out."""

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ

from notifications import bulk, retention, services
from notifications.models import Attempt, BulkAction, Kind, Notification, Outcome, Status
from notifications.selection import Selection
from tests.processes import ROOT
from tests.queue.conftest import database_environment
from tests.worker import work

pytestmark = pytest.mark.django_db(transaction=True)
Accept = Callable[..., Notification]

KILLED_IN_BULK = """
import os, signal
from notifications import bulk, services
done = []
def resend_or_die(notification):
    done.append(notification)
    if len(done) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return services.resend(notification)
bulk.PAGE = 4
bulk.ACTS["resend"] = resend_or_die
bulk.work.call({action})
"""
KILLED_IN_PRUNE = """
import os, signal
from django.db.models.signals import post_delete
from notifications import retention
from notifications.models import Attempt
gone = []
def die(**kwargs):
    gone.append(kwargs["instance"])
    if len(gone) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
post_delete.connect(die, sender=Attempt)
retention.PAGE = 3
retention.prune()
"""


def run_and_be_killed(script: str, folder: Path, **env: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
        cwd=ROOT,
        env={**database_environment(folder), "PATH": "", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def over(count: int, accepted: Accept, days: int = 0) -> list[Notification]:
    """Notifications that were sent so many days ago, with an attempt each."""
    moment = timezone.now() - timedelta(days=days)
    rows = [accepted(channel="log") for _ in range(count)]
    OrmQ.objects.all().delete()
    Notification.objects.update(
        status=Status.SENT, created_at=moment, finished_at=moment, next_attempt_at=None
    )
    for row in rows:
        Attempt.objects.create(
            notification=row, number=1, started_at=moment, finished_at=moment, outcome=Outcome.SENT
        )
    return rows


def action_on(rows: list[Notification]) -> BulkAction:
    return bulk.start(Kind.RESEND, Selection(ids=tuple(str(row.pk) for row in rows)), None)


def resent() -> list[Any]:
    return sorted(Notification.objects.exclude(resend_of=None).values_list("resend_of", flat=True))


def stand_still() -> None:
    BulkAction.objects.update(moved_at=Now() - bulk.STANDS_STILL - timedelta(seconds=1))


@pytest.mark.slow
def test_a_bulk_action_goes_on_after_an_error(accepted: Accept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its task has failed and is gone; the sweep writes the next one, which begins behind the last whole page."""
    monkeypatch.setattr(bulk, "PAGE", 4)
    rows = over(10, accepted)
    action = action_on(rows)
    done: list[Notification] = []

    def resend_or_fail(notification: Notification) -> Notification:
        done.append(notification)
        if len(done) == 6:
            raise OperationalError("the database is away")
        return services.resend(notification)

    monkeypatch.setitem(bulk.ACTS, Kind.RESEND, resend_or_fail)
    work()
    action.refresh_from_db()
    assert (action.done, len(resent()), action.finished_at) == (4, 4, None)
    OrmQ.objects.all().delete()  # of those that were resent
    bulk.sweep()
    assert not OrmQ.objects.exists(), "it has moved a moment ago"
    stand_still()
    bulk.sweep()
    assert OrmQ.objects.count() == 1
    bulk.sweep()
    assert OrmQ.objects.count() == 1, "and no second time"
    work()
    action.refresh_from_db()
    assert action.done == 10
    assert action.finished_at is not None
    assert resent() == sorted(row.pk for row in rows)


def test_what_waits_for_a_worker_is_left_to_wait(accepted: Accept) -> None:
    """However long: its entry is there."""
    action_on(over(2, accepted))
    stand_still()
    bulk.sweep()
    assert OrmQ.objects.count() == 1


@pytest.mark.process
def test_a_bulk_action_goes_on_after_a_kill(accepted: Accept, tmp_path: Path) -> None:
    """kill -9 in the middle of a page takes that page back, and whoever comes next does it."""
    rows = over(10, accepted)
    action = action_on(rows)
    OrmQ.objects.all().delete()
    run_and_be_killed(KILLED_IN_BULK.format(action=action.pk), tmp_path)
    action.refresh_from_db()
    assert (action.done, len(resent())) == (4, 4)
    OrmQ.objects.all().delete()
    stand_still()
    bulk.sweep()
    work()
    assert resent() == sorted(row.pk for row in rows)


@pytest.mark.process
def test_a_kill_while_deleting(accepted: Accept, tmp_path: Path, settings: Any) -> None:
    """kill -9 between a page's attempts and its notifications: both of that page stay, those before are gone."""
    settings.NOTIFICATIONS_KEEP_DAYS = {"sent": 30}
    over(8, accepted, days=31)
    run_and_be_killed(KILLED_IN_PRUNE, tmp_path, NOTIFICATIONS_KEEP_DAYS="sent=30")
    assert Notification.objects.count() == 5
    assert set(Attempt.objects.values_list("notification", flat=True)) == set(
        Notification.objects.values_list("pk", flat=True)
    )
    assert retention.prune() == {"sent": 5}
    assert not Attempt.objects.exists()
