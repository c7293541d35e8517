"""`manage.py doctor`: each thing that can be wrong is found, with a way out, and the exit status tells."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any, NamedTuple

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler

from notifications import doctor, health, heartbeat
from notifications.backends.queue import OrmBroker
from notifications.backends.queue.housekeeping import Housekeeper
from notifications.doctor import ERROR, OK, WARNING, Finding
from tests.processes import manage

pytestmark = pytest.mark.django_db


class Usage(NamedTuple):
    free: int


@pytest.fixture(autouse=True)
def _well(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster has just been heard of, there is room, and nobody can reach it."""
    settings.DEBUG = True
    monkeypatch.setattr(heartbeat, "_beaten_at", -heartbeat.EVERY)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(doctor.LOW))
    heartbeat.beat()


def level(what: str) -> str:
    order = [OK, WARNING, ERROR]
    return max((f.level for f in doctor.examine() if f.what == what), key=order.index)


def test_all_is_well() -> None:
    """One line for each look, and exit status 0."""
    out = StringIO()
    call_command("doctor", stdout=out)
    looks = {line.split()[1] for line in out.getvalue().splitlines() if not line.startswith(" ")}
    expected = {"settings", "database", "migrations", "workers", "waiting", "schedules", "disk"}
    assert looks == expected | ({"clock"} if connection.vendor == "postgresql" else set())


def raising(error: Exception) -> Callable[..., Any]:
    def look(*args: Any, **kwargs: Any) -> Any:
        raise error

    return look


@pytest.mark.parametrize(("seconds", "expected"), [(119, OK), (120, WARNING), (299, WARNING), (300, ERROR)])
def test_the_oldest_waits(monkeypatch: pytest.MonkeyPatch, seconds: int, expected: str) -> None:
    """Two minutes are a warning, five an error."""
    now = timezone.now()
    since = now - timedelta(seconds=seconds)
    monkeypatch.setattr(doctor, "database_now", lambda using: now)
    monkeypatch.setattr("notifications.backends.queue.backend.QueueBackend.waiting_since", lambda self: since)
    assert level("waiting") == expected


@pytest.mark.parametrize(
    ("free", "expected"), [(doctor.LOW, OK), (doctor.LOW - 1, WARNING), (doctor.FULL - 1, ERROR)]
)
def test_the_disk(monkeypatch: pytest.MonkeyPatch, free: int, expected: str) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(free))
    assert level("disk") == expected


def test_a_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", raising(FileNotFoundError(2, "No such file")))
    assert level("disk") == ERROR


@pytest.mark.slow
def test_nobody_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that was heard of long ago does not count; a backend that tells nothing is no error."""
    old = [health.Heartbeat("gone", timezone.now() - timedelta(minutes=1))]
    monkeypatch.setattr(health, "heartbeats", lambda: old)
    assert level("workers") == ERROR
    monkeypatch.setattr(health, "heartbeats", lambda: None)
    assert level("workers") == OK


def test_an_engine_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "degraded", lambda: {"celery": "The broker does not answer."})
    assert level("workers") == WARNING


def test_a_migration_that_was_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.db.migrations.recorder.MigrationRecorder.applied_migrations", lambda self: {})
    assert level("migrations") == ERROR


def test_a_setting_that_is_refused(settings: Any) -> None:
    """Django's checks and ours, with their hints."""
    settings.NOTIFICATIONS_KEEP_DAYS = {"sending": 1}
    assert level("settings") == ERROR


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        {"args": "foo"},
        {"args": "1, ("},
        {"kwargs": "'foo'"},
        {"kwargs": "{[]: 1}"},
        {"kwargs": "{1: 2}"},
        {"kwargs": "end='') + str('a'"},
        {"kwargs": "q_options=3"},
        {"schedule_type": Schedule.CRON, "cron": "@never"},
    ],
)
def test_a_schedule_that_cannot_be_enqueued(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, wrong: dict[str, str]
) -> None:
    """It is named, and stops no other. django-q2's scheduler, which is asked here whether it would, names none."""
    monkeypatch.setattr("django_q.scheduler.close_old_django_connections", lambda: None)  # it is the test's
    past = timezone.now() - timedelta(days=1)
    Schedule.objects.bulk_create(
        [
            Schedule(func="builtins.print", next_run=past, args="'a', 1", kwargs="end='', flush=no"),
            Schedule(name="the bad one", func="builtins.print", next_run=past, **wrong),
            Schedule(func="builtins.print", next_run=past, args="foo", repeats=0),
        ]
    )
    scheduler()
    assert OrmQ.objects.count() == 0
    [found] = [f for f in doctor.examine() if f.what == "schedules"]
    assert found.level == ERROR
    assert found.text.startswith("the bad one (id ")
    caplog.clear()
    Housekeeper(OrmBroker(), None, 1)._schedules()
    assert OrmQ.objects.count() == 1
    assert "the bad one" in caplog.text
    bad = Schedule.objects.get(name="the bad one")
    assert bad.next_run > timezone.now()
    assert level("schedules") == ERROR
    bad.delete()
    assert level("schedules") == OK


def test_clocks_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's clock is this host's")
    monkeypatch.setattr(doctor, "SKEW", timedelta(0))
    assert level("clock") == WARNING


def test_a_database_that_fails_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks after it are made all the same, and the exit status is 2."""
    monkeypatch.setattr(health, "heartbeats", raising(OperationalError("gone away")))
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json", stdout=out)
    assert ended.value.code == 2
    found = [Finding(**finding) for finding in json.loads(out.getvalue())]
    assert [f.text for f in found if f.level == ERROR] == ["OperationalError: gone away"]
    assert {"waiting", "disk"} <= {f.what for f in found}


@pytest.mark.process
@pytest.mark.parametrize("url", ["postgres://postgres@127.0.0.1:1/none", f"sqlite:///{__file__}"])
def test_a_database_that_is_away(url: str) -> None:
    """Or that is none. No traceback: what was tried, and where to look."""
    done = manage("doctor", env={"DATABASE_URL": url, "DEBUG": "true"})
    assert done.returncode == 2
    assert "Is DATABASE_URL right?" in done.stdout
    assert "Traceback" not in done.stderr
