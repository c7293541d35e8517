"""What the service does from a shell."""

import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command, load_command_class
from django.db import DatabaseError, OperationalError, connection, transaction

from notifications import tasks
from notifications.models import Notification, Status
from notifications.signals import accepted


def run(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out, no_color=True)
    return out.getvalue()


@pytest.mark.django_db
def test_notify_accepts() -> None:
    """Without --wait it says the id and is done."""
    out = run("notify", "you@example.com", "hi", "--via", "queue")
    row = Notification.objects.get()
    assert out == f"{row.pk} accepted via queue\n"
    assert (row.message, row.status) == ("hi", Status.QUEUED)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_notify_waits_for_the_thread(log_file: Path) -> None:
    """--via thread --wait: delivered by this very process."""
    out = run("notify", "you@example.com", "hi", "--via", "thread", "--wait")
    assert "sent after" in out
    assert log_file.read_text() == "notification for you@example.com: hi\n"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_notify_waits_for_a_worker() -> None:
    """--via queue --wait: reports what a worker made of it."""
    workers = []

    def work(notification_id: Any, **kwargs: Any) -> None:
        def worker() -> None:
            try:
                tasks.deliver.call([str(notification_id)])
            finally:
                connection.close()

        workers.append(threading.Thread(target=worker))

    def start(sender: Any, **kwargs: Any) -> None:
        work(**kwargs)
        workers[-1].start()

    accepted.connect(start)
    try:
        out = run("notify", "you@example.com", "--via", "queue", "--wait")
    finally:
        accepted.disconnect(start)
        workers[-1].join(timeout=30)
    assert "in 1 attempt(s)" in out


@pytest.mark.slow
@pytest.mark.django_db
def test_notify_gives_up_waiting() -> None:
    """Exit status 3, and the likely reason."""
    with pytest.raises(CommandError, match="Is a worker running") as caught:
        run("notify", "you@example.com", "--via", "queue", "--wait", "--timeout", "0.01")
    assert caught.value.returncode == 3


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_notify_reports_a_failure(log_file: Path, settings: Any) -> None:
    """Exit status 1, with the last error."""
    nowhere = {"OPTIONS": {"path": log_file / "no" / "folder"}, "RETRY": {"MAX_ATTEMPTS": 1}}
    settings.CHANNELS = {"log": {**settings.CHANNELS["log"], **nowhere}}
    with pytest.raises(CommandError, match="failed: Could not write the log file") as caught:
        run("notify", "you@example.com", "--via", "thread", "--wait")
    assert caught.value.returncode == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["nobody"], "recipient: "),
        (["you@example.com", "--via", "pigeon"], "via: Unknown"),
        (["you@example.com", ""], "message: A message may not be empty"),
    ],
)
def test_notify_refuses(args: list[str], reason: str) -> None:
    """Exit status 1, and nothing is stored."""
    with pytest.raises(CommandError, match=reason):
        run("notify", *args)
    assert Notification.objects.count() == 0


@pytest.mark.django_db
def test_notify_refuses_more_than_the_recipient_gets(settings: Any) -> None:
    """The same: a reason, and no traceback."""
    settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"hour": 1}
    run("notify", "you@example.com")
    with pytest.raises(CommandError, match="at most 1 notifications in one hour"):
        run("notify", "you@example.com")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "args",
    [
        ["notify", "you@example.com"],
        ["forget", "you@example.com"],
        ["prune"],
        ["recover"],
        ["token", "shop", "--can", "send"],
        ["roles"],
        ["welcome"],
        ["qcluster", "--run-once"],
    ],
    ids=lambda args: args[0],
)
def test_without_tables(settings: Any, monkeypatch: pytest.MonkeyPatch, args: list[str]) -> None:
    """The way out, in one line, instead of a traceback."""
    monkeypatch.setattr(
        "notifications.backends.queue.cluster.Cluster.run", lambda cluster: 0
    )  # it would wait
    settings.NOTIFICATIONS_KEEP_DAYS = {"sent": 30}
    with connection.cursor() as cursor:
        for table in ("notifications_notification", "auth_user", "auth_group", "django_q_ormq"):
            cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_elsewhere")
    with pytest.raises(CommandError, match=r"manage\.py migrate") as caught, transaction.atomic():
        run(*args)
    assert "\n" not in str(caught.value)


@pytest.mark.django_db
@pytest.mark.parametrize("error", [DatabaseError("file is not a database"), OperationalError("is locked")])
def test_a_database_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """One line for a file that is damaged, too."""

    def fail(**options: Any) -> None:
        raise error

    monkeypatch.setattr("notifications.services.recover", fail)
    with pytest.raises(CommandError, match=str(error)) as caught:
        run("recover")
    assert "\n" not in str(caught.value)


@pytest.mark.django_db
def test_welcome_makes_one_superuser_in_development(settings: Any) -> None:
    """The password is random, printed once, and works."""
    settings.DEBUG = True
    out = run("welcome")
    user = get_user_model().objects.get()
    password = out.split("password ")[1].split()[0]
    assert user.is_superuser
    assert user.check_password(password)
    assert "curl -X POST http://localhost:" in out
    assert "shown once" not in run("welcome")
    assert get_user_model().objects.count() == 1


@pytest.mark.django_db
def test_welcome_makes_nobody_in_production() -> None:
    """Without DEBUG there is no user nobody asked for."""
    assert "createsuperuser" in run("welcome")
    assert get_user_model().objects.count() == 0


def test_the_help_of_qcluster_is_ours() -> None:
    """django-q2's says that on Linux `-n` is not to be used: here it is."""
    text = (
        load_command_class("notifications", "qcluster").create_parser("manage.py", "qcluster").format_help()
    )
    assert "ALT_CLUSTERS" in text
    assert "Q_CLUSTER_NAME" not in text
