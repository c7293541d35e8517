"""Real brokers, real workers: RabbitMQ with quorum queues, and Redis."""

import signal
import uuid

import psutil
import pytest

from tests.celery_backend.conftest import Site, own_queues
from tests.processes import free_port, wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]

# What happens in the database is the same with every broker.
ONE_BROKER = pytest.mark.parametrize("site", ["RabbitMQ"], indirect=True)


def sent(site: Site, id: str) -> bool:
    return bool(site.row(id)["status"] == "sent")


def test_a_notification_goes_through_the_broker(site: Site) -> None:
    """`via=celery` and nothing else: accepted, published after the commit, sent once by a Celery worker."""
    text = uuid.uuid4().hex
    id = site.accept(text)
    wait_until(lambda: sent(site, id))
    assert len(site.log_lines(text)) == 1
    row = site.row(id)
    assert (row["via"], row["task_id"][:7]) == ("celery", "celery-")


@ONE_BROKER
def test_a_broker_that_was_down_loses_nothing(site: Site) -> None:
    """Accepted while the broker is away, in the time that it always takes; published by whoever reaches it again."""
    text = uuid.uuid4().hex
    id = site.accept(text, BROKER_URL=f"amqp://127.0.0.1:{free_port()}//")
    wait_until(lambda: sent(site, id))
    assert len(site.log_lines(text)) == 1


def test_a_message_that_was_lost_is_published_again(site: Site) -> None:
    """The row is the truth: a message that no worker gets is missed when its turn has passed."""
    text = uuid.uuid4().hex
    with own_queues(site.url, f"nobody-{text}."):
        id = site.accept(text, QUEUE_PREFIX=f"nobody-{text}.")
        wait_until(lambda: sent(site, id))
    assert len(site.log_lines(text)) == 1


def test_a_worker_that_is_killed_while_it_sends(site: Site) -> None:
    """Acknowledged after the work: the attempt is lost and counted, and the next one is sent."""
    gate = f"gated-{uuid.uuid4().hex}"
    id = site.accept(gate)
    wait_until((site.folder / f"{gate}.begun").exists)
    for child in psutil.Process(site.worker.pid).children(recursive=True):
        child.send_signal(signal.SIGKILL)
    (site.folder / gate).touch()
    wait_until(lambda: sent(site, id))
    assert len(site.log_lines(gate)) == 1
    assert [attempt["outcome"] for attempt in site.attempts(id)] == ["lost", "sent"]


@ONE_BROKER
def test_what_is_scheduled_waits_in_the_database(site: Site) -> None:
    """A time is kept by the database, not in a worker's memory, and never early."""
    id = site.accept(uuid.uuid4().hex, due_in=1.5)
    wait_until(lambda: sent(site, id))
    row = site.row(id)
    assert row["claimed_at"] >= row["due_at"]
    assert row["task_id"].startswith("celery-")
