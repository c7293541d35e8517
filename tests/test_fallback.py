"""`FALLBACK`: while an engine is down the next one takes over, and the answer says which."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ
from rest_framework.test import APIClient

from notifications import health, services
from notifications.backends.celery import outbox, publisher
from notifications.backends.fallback import taker_of
from notifications.backends.queue import backend as queue_backend
from notifications.background import BackgroundTask, BackgroundTasks, pool, testing
from notifications.models import Heartbeat, Notification
from tests import recording_channel
from tests.background import work
from tests.processes import free_port

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]
SEND = "/send-notification/you@example.com"
ANSWER = b'{"message":"Notification sent in the background"}'


@pytest.fixture
def fallbacks(settings: Any) -> Iterator[Callable[..., None]]:
    """Give aliases of TASKS their fallbacks; a broker that is not there is behind `celery`."""

    def give(**named: str) -> None:
        there = f"amqp://127.0.0.1:{free_port()}//"
        options: dict[str, dict[str, Any]] = {
            "default": {},
            "thread": {},
            "celery": {"BROKER_URL": there, "CONNECT_TIMEOUT": 0.5},
        }
        backends = {"default": "queue.QueueBackend", "thread": "thread.ThreadBackend"}
        settings.TASKS = {
            alias: {
                "BACKEND": f"notifications.backends.{backends.get(alias, 'celery.CeleryBackend')}",
                "OPTIONS": options[alias] | ({"FALLBACK": named[alias]} if alias in named else {}),
            }
            for alias in options
        }

    queue_backend._silence.cache_clear()
    with testing.collect():  # what is accepted for threads waits
        yield give
    queue_backend._silence.cache_clear()


def a_cluster_lives() -> None:
    Heartbeat.objects.create(cluster="host:1 default")
    queue_backend._silence.cache_clear()


def the_broker_is_down() -> None:
    publisher.publisher("celery").closed_until = time.monotonic() + 60


@pytest.fixture
def full_pool(settings: Any) -> Iterator[None]:
    """One thread that is held, and room for nobody to wait."""
    work.forget()
    settings.BACKGROUND_TASKS = {"MAX_THREADS": 1, "MAX_WAITING": 0}
    BackgroundTasks([BackgroundTask(work.hold)]).hand_to(pool.current_pool().submit)
    assert work.entered.wait(work.WAIT)
    yield
    work.let_go()


def test_nobody_is_asked_while_nothing_is_configured(fallbacks: Any, accepted: Accept) -> None:
    """Without FALLBACK the engine that was asked for keeps the work, whatever state it is in."""
    fallbacks()
    the_broker_is_down()
    row = accepted(via="celery")
    assert (row.via, row.requested_via) == ("celery", "")
    assert OrmQ.objects.get().key == outbox.key("celery")


def test_what_is_up_keeps_its_work(fallbacks: Any, accepted: Accept) -> None:
    """A fallback that nobody needs changes nothing."""
    fallbacks(celery="default", thread="default", default="celery")
    a_cluster_lives()
    for via in ("queue", "thread", "celery"):
        row = accepted(via=via)
        assert (row.via, row.requested_via) == (via, "")


def test_while_the_broker_is_down_the_queue_takes_it(fallbacks: Any, accepted: Accept) -> None:
    """Row, entry and result all say which engine it was."""
    fallbacks(celery="default")
    a_cluster_lives()
    the_broker_is_down()
    row = accepted(via="celery")
    assert (row.via, row.requested_via) == ("queue", "celery")
    assert OrmQ.objects.get().key == "default"
    row.refresh_from_db()
    assert row.via == "queue"


def test_the_probe_says_who_stands_in(fallbacks: Any) -> None:
    """`/readyz` names the engine that takes the work of one that is down."""
    fallbacks(celery="default")
    a_cluster_lives()
    the_broker_is_down()
    assert health.degraded() == {"celery": "The broker cannot be reached: 'default' takes its work."}


def test_what_is_back_gets_its_work_again(fallbacks: Any, accepted: Accept) -> None:
    """When the broker has been left alone for a moment, the next one is tried with it."""
    fallbacks(celery="default")
    a_cluster_lives()
    the_broker_is_down()
    assert accepted(via="celery").via == "queue"
    publisher.publisher("celery").closed_until = time.monotonic()
    assert accepted(via="celery").via == "celery"


@pytest.mark.slow
def test_while_no_cluster_lives_a_thread_takes_it(fallbacks: Any, accepted: Accept) -> None:
    """Heartbeats tell, by one look for many requests."""
    fallbacks(default="thread")
    row = accepted(via="queue")
    assert (row.via, row.requested_via) == ("thread", "queue")
    a_cluster_lives()
    assert accepted(via="queue").via == "queue"


def test_it_costs_a_request_nothing(
    fallbacks: Any, accepted: Accept, monkeypatch: Any, django_assert_num_queries: Any
) -> None:
    """All that one moment's requests ask of the database about heartbeats is asked once."""
    monkeypatch.setattr(queue_backend, "LISTEN_EVERY", 1e9)
    fallbacks()
    with django_assert_num_queries(0):
        taker_of("default")
    fallbacks(default="thread")
    with django_assert_num_queries(2 if connection.vendor == "postgresql" else 1):  # and the time
        assert {taker_of("default") for _ in range(100)} == {"thread"}


@pytest.mark.usefixtures("full_pool")
def test_while_the_pool_is_full_the_queue_takes_it(fallbacks: Any, accepted: Accept) -> None:
    """As it would later, by OVERFLOW_TO; but the answer says so."""
    fallbacks(thread="default")
    a_cluster_lives()
    assert (row := accepted(via="thread")).via == "queue"
    assert row.requested_via == "thread"


def test_what_stops_takes_nothing_more(fallbacks: Any, accepted: Accept) -> None:
    """A pool that is closed is down."""
    fallbacks(thread="default")
    a_cluster_lives()
    pool.current_pool().drain(0)
    assert accepted(via="thread").via == "queue"


def test_the_next_but_one(fallbacks: Any, accepted: Accept) -> None:
    """Fallbacks are followed from one to the next; where all are down, the one that was asked for keeps it."""
    fallbacks(celery="default", default="thread")
    the_broker_is_down()
    assert accepted(via="celery").via == "thread"
    pool.current_pool().drain(0)
    row = accepted(via="celery")
    assert (row.via, row.requested_via) == ("celery", "")


def test_what_is_scheduled_stays(fallbacks: Any, accepted: Accept) -> None:
    """Who is down now need not be down when its time has come."""
    fallbacks(celery="default")
    a_cluster_lives()
    the_broker_is_down()
    row = accepted(via="celery", due_at=timezone.now() + timedelta(hours=1))
    assert (row.via, OrmQ.objects.get().key) == ("celery", outbox.key("celery"))


def test_many(fallbacks: Any) -> None:
    """A batch goes to the engines that are up, and each row tells."""
    fallbacks(celery="default")
    a_cluster_lives()
    the_broker_is_down()
    item = {"recipient": "you@example.com", "message": "m", "channel": "recording"}
    rows = services.accept_many([{**item, "via": "celery"}, {**item, "via": "queue"}])
    assert [(row.via, row.requested_via) for row in rows if isinstance(row, Notification)] == [
        ("queue", "celery"),
        ("queue", ""),
    ]


@pytest.mark.slow
def test_the_answer_says_which(fallbacks: Any, api: APIClient) -> None:
    """The first endpoint's body is what it always is; headers name both engines, and so does the resource."""
    fallbacks(celery="default")
    a_cluster_lives()
    response = api.post(f"{SEND}?via=celery")
    assert (response["Notification-Via"], response.content) == ("celery", ANSWER)
    assert "Notification-Requested-Via" not in response
    the_broker_is_down()
    body = {"recipient": "you@example.com", "message": "m", "via": "celery"}
    key = {"Idempotency-Key": "one"}
    answers = [api.post(f"{SEND}?via=celery", headers=key) for _ in range(2)]
    assert answers[1]["Idempotent-Replayed"] == "true"
    answers.append(api.post("/api/v1/notifications", body, format="json"))
    for response in answers:
        assert response["Notification-Via"] == "queue"
        assert response["Notification-Requested-Via"] == "celery"
        assert api.get(response["Location"]).json()["via"] == "queue"
    assert answers[0].content == ANSWER
    [result] = api.post("/api/v1/notifications/bulk", [body], format="json").json()["results"]
    assert (result["via"], result["requested_via"]) == ("queue", "celery")


def test_what_waits_for_the_broker_is_handed_over(fallbacks: Any, accepted: Accept) -> None:
    """What was accepted before the broker was missed is sent by the queue, under the task's id that the row knows."""
    fallbacks(celery="default")
    row = accepted(via="celery")
    accepted(via="celery", channel="waiting")
    OrmQ.objects.update(lock=timezone.now())
    assert publisher.publish_due("celery") == 0, "nobody stands in"
    assert {entry.key for entry in OrmQ.objects.all()} == {outbox.key("celery")}

    a_cluster_lives()
    assert publisher.publish_due("celery") == 2
    entry, slow = OrmQ.objects.order_by("pk")
    assert (entry.key, slow.key) == ("default", "default:-1")
    assert max(entry.lock, slow.lock) <= timezone.now()
    backend: Any = queue_backend.task_backends["celery"]
    assert backend.missing([row.task_id]) == set()
    queue_backend.package.target(queue_backend.package.unpack(entry.payload)).call(*entry.args())
    row.refresh_from_db()
    assert (row.status, len(recording_channel.sent())) == ("sent", 1)


@pytest.mark.parametrize(
    ("named", "ids"),
    [
        ({"celery": "default", "default": "thread"}, []),
        ({"celery": "pigeon"}, ["E001"]),
        ({"celery": ["default"]}, ["E001"]),
        ({"celery": "celery"}, ["E002"]),
        ({"celery": "default", "default": "thread", "thread": "default"}, ["E002", "E002", "E002"]),
    ],
)
def test_wrong_fallbacks_are_refused_at_start(fallbacks: Any, named: Any, ids: list[str]) -> None:
    """Somebody unknown, oneself, a circle."""
    fallbacks(**named)
    found = [message for message in run_checks() if "fallback" in (message.id or "")]
    assert [str(message.id) for message in found] == [f"notifications.fallback.{id}" for id in ids]
    assert all(message.hint for message in found)


def test_a_fallback_has_all_the_queues(settings: Any) -> None:
    """What nobody there would take is refused at start, not when it is needed."""
    settings.TASKS = {
        **settings.TASKS,
        "thread": {**settings.TASKS["thread"], "QUEUES": ["default", "night"]},
    }
    [found] = [message for message in run_checks() if "fallback" in (message.id or "")]
    assert found.id == "notifications.fallback.E003"
