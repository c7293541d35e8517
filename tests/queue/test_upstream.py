"""django-q2 as our cluster knows it. A new version of it fails here first, not in production."""

import inspect
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event

import django_q
import pytest
from django.db import connections
from django.utils import timezone
from django_q import cluster, monitor, scheduler, status, tasks, worker
from django_q.brokers import Broker
from django_q.models import OrmQ, Schedule, Task

from notifications.backends.queue import OrmBroker
from notifications.backends.queue.housekeeping import Housekeeper
from notifications.backends.queue.texts import TASK_NAMES


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_version_is_the_one_we_know() -> None:
    assert django_q.VERSION[:2] == (1, 11)


def test_the_classes_have_the_shape_we_subclass() -> None:
    assert parameters(cluster.Cluster) == ["broker"]
    assert parameters(cluster.Sentinel) == [
        "stop_event",
        "start_event",
        "cluster_id",
        "broker",
        "timeout",
        "start",
    ]
    for name in ("start", "stop", "sig_handler"):
        assert callable(getattr(cluster.Cluster, name))
    for name in ("start", "guard", "stop", "status", "spawn_cluster", "spawn_worker"):
        assert callable(getattr(cluster.Sentinel, name))
    assert parameters(cluster.set_cpu_affinity) == ["n", "process_ids", "actual"]
    assert parameters(cluster.get_mp_context) == []


def test_the_functions_have_the_parameters_we_use() -> None:
    assert parameters(monitor.save_task) == ["task", "broker"]
    assert parameters(monitor.save_cached) == ["task", "broker"]
    assert parameters(scheduler.scheduler) == ["broker"]
    assert parameters(worker.rss_check) == []
    assert parameters(status.Stat) == ["sentinel"]
    assert parameters(tasks.async_task) == ["func", "args", "kwargs"]


def test_stat_reads_only_what_our_sentinel_has() -> None:
    read = set(inspect.getsource(status.Stat.__init__).replace("(", " ").replace(")", " ").split())
    assert {word for word in read if word.startswith("sentinel.")} == {
        "sentinel.parent_pid", "sentinel.pid,", "sentinel.broker", "sentinel.tob",
        "sentinel.reincarnations", "sentinel.pid", "sentinel.status", "sentinel.result_queue.qsize",
        "sentinel.task_queue.qsize", "sentinel.monitor:", "sentinel.monitor.pid", "sentinel.pusher:",
        "sentinel.pusher.pid", "sentinel.pool]",
    }  # fmt: skip


def test_the_tables_have_the_columns_we_write() -> None:
    assert {field.column for field in OrmQ._meta.local_fields} == {"id", "key", "payload", "lock"}
    assert {field.column for field in Task._meta.local_fields} == set(TASK_NAMES)
    assert (OrmQ._meta.db_table, Task._meta.db_table) == ("django_q_ormq", "django_q_task")


def test_our_broker_has_every_method_of_theirs() -> None:
    for name, method in vars(Broker).items():
        if inspect.isfunction(method) and not name.startswith("__"):
            assert parameters(getattr(OrmBroker, name)) == parameters(method), name


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_enqueue_once() -> None:
    """Law: any number of clusters, one run."""
    Schedule.objects.create(
        func="x.y", schedule_type=Schedule.ONCE, next_run=timezone.now() - timedelta(minutes=1)
    )
    together = Barrier(2)

    def run() -> None:
        together.wait(10)
        try:
            scheduler.scheduler(broker=OrmBroker())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as clusters:
        for done in [clusters.submit(run) for _ in range(2)]:
            done.result(20)
    assert OrmQ.objects.count() == 1


def test_housekeeping_goes_on_after_an_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: the application's own sweep may fail; it is logged, and the next round comes."""
    monkeypatch.setattr("django_q.conf.Conf.SCHEDULER", False)
    second, rounds = Event(), []

    def sweep() -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise RuntimeError("boom")
        second.set()

    housekeeper = Housekeeper(OrmBroker(), sweep, 0.01)
    housekeeper.start()
    assert second.wait(10)
    housekeeper.stop()
    assert "housekeeping=failed" in caplog.text
