"""Real brokers, real workers: RabbitMQ with quorum queues, and Redis."""

import signal
import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from tests.celery_backend.conftest import Site, own_queues
from tests.processes import DATABASE_URL, free_port, manage, wait_until

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(
        not DATABASE_URL.startswith("sqlite"), reason="What the broker does is the same on every database"
    ),
]


def row(site: Site, text: str) -> dict[str, Any]:
    with closing(sqlite3.connect(site.folder / "db.sqlite3", timeout=20)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM notifications_notification WHERE message = ?", [text])
        return dict(found.fetchone())


def test_a_notification_goes_through_the_broker(site: Site) -> None:
    """`via=celery` and nothing else: accepted, published after the commit, sent once by a Celery worker."""
    text = uuid.uuid4().hex
    assert "sent after" in site.notify(text, "--wait")
    assert len(site.log_lines(text)) == 1
    assert row(site, text)["task_id"].startswith("celery-")


def test_a_broker_that_was_down_loses_nothing(site: Site) -> None:
    """Accepted while the broker is away, in the time that it always takes; published by whoever reaches it again."""
    text = uuid.uuid4().hex
    site.notify(text, CELERY_BROKER_URL=f"amqp://127.0.0.1:{free_port()}//")
    wait_until(lambda: row(site, text)["status"] == "sent")
    assert len(site.log_lines(text)) == 1


def test_a_message_that_was_lost_is_published_again(site: Site) -> None:
    """The row is the truth: a message that no worker gets is missed when its turn has passed."""
    text = uuid.uuid4().hex
    site.notify(text, TEST_PREFIX=f"nobody-{text}.")
    try:
        wait_until(lambda: row(site, text)["status"] == "sent")
        assert len(site.log_lines(text)) == 1
    finally:
        with own_queues(site.env["CELERY_BROKER_URL"], f"nobody-{text}."):
            pass


def test_a_worker_that_is_killed_while_it_sends(site: Site) -> None:
    """Acknowledged after the work: the attempt is lost and counted, and the next one is sent."""
    gate = f"gated-{uuid.uuid4().hex}"
    site.notify(gate)
    wait_until((site.folder / f"{gate}.begun").exists)
    for child in psutil.Process(site.worker.pid).children(recursive=True):
        child.send_signal(signal.SIGKILL)
    (site.folder / gate).touch()
    wait_until(lambda: row(site, gate)["status"] == "sent")
    assert row(site, gate)["attempt_count"] == 2
    assert len(site.log_lines(gate)) == 1
    with closing(sqlite3.connect(site.folder / "db.sqlite3", timeout=20)) as connection:
        outcomes = connection.execute("SELECT outcome FROM notifications_attempt ORDER BY id DESC LIMIT 2")
        assert outcomes.fetchall() == [("sent",), ("lost",)]


def test_what_is_scheduled_waits_in_the_database(site: Site) -> None:
    """A time is kept by the database, not in a worker's memory, and never early."""
    text = uuid.uuid4().hex
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    code = (
        "from notifications import services; from datetime import datetime; "
        f"services.accept(recipient='you@example.com', message='{text}', via='celery', "
        f"due_at=datetime.fromisoformat('{due.isoformat()}'))"
    )
    done = manage("shell", "--no-imports", "-c", code, env=site.env)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: row(site, text)["status"] == "sent")
    sent = row(site, text)
    assert sent["claimed_at"] >= sent["due_at"]
    assert sent["task_id"].startswith("celery-")
