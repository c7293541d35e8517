"""What a broker gets, by kombu's own broker in memory: which messages, when, in which of its queues."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Reject
from django.db import OperationalError
from django.tasks import task, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
from django.tasks.signals import task_finished
from django.utils import timezone
from django_q.models import OrmQ
from kombu.transport.memory import Channel

from notifications.backends.celery import app, outbox, publisher, worker
from notifications.background import testing
from notifications.models import Heartbeat
from tests.processes import wait_until
from tests.queue import tasks

pytestmark = pytest.mark.django_db(transaction=True)
OLD = f"celery-{'0' * 12}7{'0' * 19}-1"  # of a task that was enqueued long ago


@pytest.fixture
def backend(settings: Any) -> Iterator[Any]:
    """Of `celery`, whose broker lives in this process."""
    options = {"BROKER_URL": "memory://", "FALLBACK": "thread"}
    settings.TASKS = {
        **settings.TASKS,
        "celery": {"BACKEND": "notifications.backends.celery.CeleryBackend", "OPTIONS": options},
    }
    yield task_backends["celery"]
    testing.stop_pool()
    Channel.queues.clear()


def enqueue(function: Any, *args: Any, **using: Any) -> Any:
    return function.using(backend="celery", **using).enqueue(*args)


def test_what_is_published(backend: Any) -> None:
    """After the commit, into the queue of its level; when the broker has it, the database forgets it."""
    for priority in (5, 0, -5):
        enqueue(tasks.add, 1, 2, priority=priority)
    testing.wait()
    assert not OrmQ.objects.exists()
    [message] = Channel.queues["notifications.default"].queue
    assert message["headers"]["task"] == app.RUN
    assert {name: queue.qsize() for name, queue in Channel.queues.items() if queue.qsize()} == {
        "notifications.default.urgent": 1,
        "notifications.default": 1,
        "notifications.default.background": 1,
    }


def test_what_has_its_time_waits_for_it(backend: Any) -> None:
    """Nobody publishes it before; then housekeeping does."""
    result = enqueue(tasks.add, 1, run_after=timezone.now() + timedelta(hours=1))
    testing.wait()
    assert publisher.publish_due("celery") == 0
    assert not Channel.queues
    assert backend.get_result(result.id).status == "READY"
    OrmQ.objects.update(lock=timezone.now())
    assert publisher.publish_due("celery") == 1
    assert Channel.queues["notifications.default"].qsize() == 1


def test_whoever_wrote_it_publishes_it(backend: Any) -> None:
    """For a moment nobody else does. What cannot be read keeps nobody from the rest."""
    with testing.collect():
        for number in range(2):
            enqueue(tasks.add, number)
    assert publisher.publish_due("celery") == 0
    OrmQ.objects.update(lock=timezone.now())
    OrmQ.objects.filter(pk=OrmQ.objects.earliest("pk").pk).update(payload="of another version")
    assert publisher.publish_due("celery") == 1
    assert OrmQ.objects.get().payload == "of another version"


def test_while_messages_wait_none_is_missing(backend: Any) -> None:
    """Nobody can ask a broker for one of them. Queues that nobody has made yet are empty."""
    assert (backend.missing([OLD]), backend.waiting_since()) == ({OLD}, None)
    enqueue(tasks.add, 1)
    testing.wait()
    assert backend.missing([OLD]) == set()
    assert backend.waiting_since().year == 1
    Channel.queues["notifications.default"].queue.clear()
    assert (backend.missing([OLD]), backend.waiting_since()) == ({OLD}, None)


def test_only_a_queue_in_the_database_takes_over_what_was_accepted(backend: Any) -> None:
    """A thread of one process could lose it: it waits for the broker."""
    with testing.collect():
        enqueue(tasks.add, 1)
    OrmQ.objects.update(lock=timezone.now())
    publisher.publisher("celery").closed_until = float("inf")
    assert publisher.publish_due("celery") == 0
    assert OrmQ.objects.get().key == outbox.key("celery")


def test_a_task_has_the_id_that_it_was_enqueued_under(backend: Any) -> None:
    """Also one that came back and was published again, as another entry."""
    seen: list[str] = []

    def finished(sender: Any, task_result: Any, **kwargs: Any) -> None:
        seen.append(task_result.id)

    def receive(*, redelivered: bool) -> None:
        message = Channel.queues["notifications.default"].get_nowait()
        request = SimpleNamespace(id=message["headers"]["id"], delivery_info={"redelivered": redelivered})
        [content] = json.loads(base64.b64decode(message["body"]))[0]
        worker._task("celery")(SimpleNamespace(request=request), content)

    result = enqueue(tasks.add, 1)
    testing.wait()
    receive(redelivered=True)
    OrmQ.objects.update(lock=timezone.now())
    assert publisher.publish_due("celery") == 1
    task_finished.connect(finished)
    try:
        receive(redelivered=False)
    finally:
        task_finished.disconnect(finished)
    assert seen == [result.id]


def test_whose_heartbeats(backend: Any) -> None:
    """A cluster of the queue takes no message."""
    for cluster in ("celery@host", "host:1 default"):
        Heartbeat.objects.create(cluster=cluster)
    assert [cluster for cluster, _ in backend.heartbeats()] == ["celery@host"]


def test_results_of_others(backend: Any) -> None:
    """An entry of the queue is none of ours, whatever number it has."""
    entry = tasks.add.using(backend="default").enqueue(1)
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(entry.id)


def test_what_no_worker_could_run_is_refused(backend: Any) -> None:
    """At enqueue, not in the worker."""
    with pytest.raises(InvalidTask, match="plain"):
        enqueue(task(tasks.plain), "x")
    with pytest.raises(InvalidTask, match="elsewhere"):
        enqueue(tasks.add, 1, queue_name="elsewhere")
    assert not OrmQ.objects.exists()


def test_all_its_checks_are_made(backend: Any) -> None:
    """Its options and its fallback, by `manage.py check`."""
    backend.options["FALLBACK"] = "nobody"
    found = {message.id for message in backend.check()}
    assert {"notifications.celery.E002", "notifications.fallback.E001"} <= found


@pytest.mark.slow
@pytest.mark.parametrize("alias", ["celery", "other"])
def test_what_was_left_is_published_by_the_housekeeper(settings: Any, backend: Any, alias: str) -> None:
    """Whatever process had left it there, for whatever alias of Celery's: every worker looks."""
    settings.TASKS = {**settings.TASKS, "other": settings.TASKS["celery"]}
    with testing.collect():
        tasks.add.using(backend=alias).enqueue(1)
    OrmQ.objects.update(lock=timezone.now())
    housekeeper = worker.Housekeeper("celery", lambda: None, interval=60)
    housekeeper.start()
    try:
        wait_until(lambda: not OrmQ.objects.exists())
    finally:
        housekeeper.stop()
    assert Channel.queues["notifications.default"].qsize() == 1


def test_the_next_look_is_by_the_databases_clock(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is an hour ahead would look a hundred times a second, with a new connection for each."""
    now = timezone.now() - timedelta(hours=1)
    monkeypatch.setattr(worker, "database_now", lambda using: now)
    assert worker.pause_for("celery") == worker.LOOK_EVERY
    monkeypatch.setattr(worker.outbox, "next_due", lambda alias: now + timedelta(seconds=0.5))
    assert worker.pause_for("celery") == 0.5


def test_while_the_database_is_away_a_message_goes_back(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not acknowledged: the broker gives it to somebody else, when the database is back or after some looks."""

    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("away")

    looks = iter([True, False])
    monkeypatch.setattr(worker.execution, "run", away)
    monkeypatch.setattr(worker.outbox, "is_away", lambda: next(looks))
    monkeypatch.setattr(worker, "DATABASE_PAUSE", 0)
    with pytest.raises(Reject) as rejected:
        worker._task("celery")(
            SimpleNamespace(request=SimpleNamespace(id="celery-1-1", delivery_info={})),
            {"name": "n", "id": "1"},
        )
    assert rejected.value.requeue
    assert not list(looks)


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:1//", "redis://127.0.0.1:1/0"])
def test_what_keeps_a_message(settings: Any, url: str) -> None:
    """Confirmed by the broker, on disk, given back by who dies with it, and not given to two while one works."""
    options = {"BROKER_URL": url, "TIME_LIMIT": 100}
    settings.TASKS = {
        "celery": {"BACKEND": "notifications.backends.celery.CeleryBackend", "OPTIONS": options}
    }
    conf = app.celery_app("celery").conf
    assert conf.broker_connection_max_retries is None
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    if url.startswith("amqp"):
        assert conf.broker_transport_options["confirm_publish"]
        assert {queue.queue_arguments["x-queue-type"] for queue in conf.task_queues} == {"quorum"}
    else:
        assert conf.broker_transport_options["visibility_timeout"] > conf.task_time_limit > 100


def test_other_settings_are_another_broker(settings: Any) -> None:
    """Neither a connection nor an application outlives the settings that it was made from."""
    for url in ("amqp://127.0.0.1:1//", "redis://127.0.0.1:1/0"):
        options = {"BROKER_URL": url}
        settings.TASKS = {
            "celery": {"BACKEND": "notifications.backends.celery.CeleryBackend", "OPTIONS": options}
        }
        assert publisher.publisher("celery").options.broker_url == url
        assert app.celery_app("celery").conf.broker_url == url
