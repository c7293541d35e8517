"""Request ids, probes, metrics: what an operator and the machines around see."""

import logging
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.tasks import task_backends
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from rest_framework.test import APIClient

from notifications import health, metrics, tasks
from notifications.background.pool import current_pool
from notifications.exceptions import DeliveryError
from notifications.models import AttemptTotal, Heartbeat, Notification
from notifications.request_id import IdsFilter
from tests import recording_channel
from tests.api.conftest import problem
from tests.processes import answers, free_port, private_database, running, wait_until

pytestmark = pytest.mark.django_db

SEND = "/send-notification/you@example.com"


class TestRequestIds:
    """Taken over or made; on every line of the request and of what it started; in the answer and on the row."""

    def test_taken_over(self, api: APIClient) -> None:
        """One that fits goes on, also in an error's answer."""
        for path in (SEND, "/nowhere"):
            assert api.post(path, headers={"X-Request-ID": "abc-1"})["X-Request-ID"] == "abc-1"
        assert Notification.objects.get().request_id == "abc-1"

    @pytest.mark.parametrize("given", ["", "a b", "a\nforged line", "x" * 65, "caf\xe9"])
    def test_made(self, api: APIClient, given: str) -> None:
        """One that could forge a line or is too long is not taken over."""
        made = api.post(SEND, headers={"X-Request-ID": given})["X-Request-ID"]
        assert len(made) == 32
        assert made.isalnum()
        assert Notification.objects.get().request_id == made

    @pytest.mark.django_db(transaction=True)
    def test_on_every_line(self, api: APIClient, caplog: pytest.LogCaptureFixture) -> None:
        """The lines of the view, of Django about the answer, and of the task on its thread."""
        caplog.handler.addFilter(IdsFilter())
        caplog.set_level(logging.DEBUG, "notifications")
        api.post(f"{SEND}?via=thread", headers={"X-Request-ID": "abc-1"})
        assert current_pool().wait_idle(timeout=10)
        api.get("/nowhere", headers={"X-Request-ID": "abc-2"})
        ids = {(record.name, record.request_id) for record in caplog.records}
        assert {("notifications", "abc-1"), ("django.request", "abc-2")} <= ids
        lines = [record for record in caplog.records if "event=recorded" in record.getMessage()]
        assert [record.request_id for record in lines] == ["abc-1"]

    def test_no_address_in_djangos_lines(self, client: Any, caplog: pytest.LogCaptureFixture) -> None:
        """The address is in the path, so the line says the route instead."""
        problem(client.post(SEND), 401)
        assert "Unauthorized: notifications:send-notification" in caplog.text
        assert "example.com" not in caplog.text


class TestProbes:
    """Alive, ready; neither throttled nor cached."""

    def test_livez_asks_nobody(self, client: Any, django_assert_num_queries: Any) -> None:
        """It answers without a single query."""
        with django_assert_num_queries(0):
            response = client.get("/livez")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
        assert "no-store" in response["Cache-Control"]

    @pytest.mark.parametrize("path", ["/livez", "/readyz"])
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_are_only_looked_at(self, path: str, method: str) -> None:
        """405 as a problem document that says what is allowed; Django's page about CSRF is nothing for a machine."""
        response = Client(enforce_csrf_checks=True).generic(method, path)
        problem(response, 405)
        assert response["Allow"] == "GET, HEAD"
        assert "no-store" in response["Cache-Control"]

    def test_ready(self, client: Any) -> None:
        """200 when all is there, a worker that was heard of lately included."""
        Heartbeat.objects.create(cluster="host:1 default")
        assert client.get("/readyz").json() == {"status": "ok"}

    @pytest.mark.django_db(transaction=True)
    def test_the_database_is_away(self, client: Any) -> None:
        """503 that says so; /livez goes on."""
        name = connection.settings_dict["NAME"]
        connection.close()
        connection.settings_dict["NAME"] = "/nowhere/at/all"
        try:
            response = client.get("/readyz")
            assert client.get("/livez").status_code == 200
        finally:
            connection.settings_dict["NAME"] = name
        assert (response.status_code, list(response.json()["failures"])) == (503, ["database"])

    def test_a_migration_is_missing(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """503 until it is applied."""
        Heartbeat.objects.create(cluster="host:1 default")
        monkeypatch.setattr(health, "_is_migrated", False)
        [newest] = MigrationLoader(connection).graph.leaf_nodes("notifications")
        MigrationRecorder(connection).record_unapplied(*newest)
        assert list(client.get("/readyz").json()["failures"]) == ["migrations"]
        MigrationRecorder(connection).record_applied(*newest)
        assert client.get("/readyz").status_code == 200

    @pytest.mark.parametrize(("seconds", "status"), [(1, 200), (60, 503), (None, 503)])
    def test_workers(
        self, client: Any, monkeypatch: pytest.MonkeyPatch, seconds: int | None, status: int
    ) -> None:
        """Where the backend tells of its workers, one must have been heard of lately."""
        beats = [] if seconds is None else [("host:1", timezone.now() - timedelta(seconds=seconds))]
        monkeypatch.setattr(type(task_backends["default"]), "heartbeats", lambda self: beats, raising=False)
        assert client.get("/readyz").status_code == status


class TestMetrics:
    """Prometheus' text format, for those who may see all."""

    def test_closed(self, client: Any, caller: Any) -> None:
        """How much is sent is nobody's business."""
        problem(client.get("/metrics"), 401)
        problem(caller("ann").get("/metrics"), 403)

    def test_the_pool_of_this_process(self, api: APIClient) -> None:
        """How many tasks wait and run on threads, labelled by the process that was asked."""
        current_pool()
        samples = scrape(api, "background_pool_tasks")
        assert {sample.labels["state"]: sample.value for sample in samples} == {"waiting": 0, "running": 0}
        assert {sample.labels["pid"] for sample in samples} == {str(os.getpid())}

    @pytest.mark.slow
    def test_queue_and_requests(self, api: APIClient, accepted: Any) -> None:
        """Depth by state, age of the oldest, latencies by route: never by address."""
        accepted()
        Notification.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=1))
        accepted(due_at=timezone.now() + timedelta(hours=1))
        api.post(SEND)
        unfinished = scrape(api, "notifications_unfinished")
        states = {sample.labels["state"]: sample.value for sample in unfinished}
        assert states == {"due": 2, "scheduled": 1, "sending": 0, "unknown": 0}
        assert 55 < scrape(api, "notifications_oldest_due_seconds")[0].value < 90
        requests = scrape(api, "http_request_duration_seconds")
        routes = {sample.labels["route"] for sample in requests}
        assert "notifications:send-notification" in routes
        assert not [route for route in routes if "@" in route]

    @pytest.mark.slow
    def test_methods_that_nobody_knows_are_counted_as_one(self, api: APIClient) -> None:
        """Anybody may send any word: each would take room for good."""
        for word in ("BREW", "WHEN"):
            api.generic(word, "/livez")
        methods = {sample.labels["method"] for sample in scrape(api, "http_request_duration_seconds")}
        assert "_OTHER" in methods
        assert methods.isdisjoint({"BREW", "WHEN"})

    @pytest.mark.slow
    def test_attempts_are_counted_once(
        self, api: APIClient, accepted: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By channel and outcome, whoever asks and however often; pruned ones stay counted."""
        monkeypatch.setattr(metrics, "SETTLED_AFTER", timedelta(0))
        recording_channel.behaviours["bad@example.com"] = refuse
        for _ in range(3):
            tasks.deliver.call([str(accepted().pk)])
        tasks.deliver.call([str(accepted(recipient="bad@example.com").pk)])
        assert totals(api) == totals(api) == {("recording", "sent"): 3, ("recording", "failed"): 1}
        Notification.objects.all().delete()
        tasks.deliver.call([str(accepted().pk)])
        assert totals(api) == {("recording", "sent"): 4, ("recording", "failed"): 1}

    @pytest.mark.slow
    def test_what_may_still_be_joined_by_an_older_one_waits(self, api: APIClient, accepted: Any) -> None:
        """A transaction with a lower id may still be open, so a fresh attempt is counted later, not never."""
        tasks.deliver.call([str(accepted().pk)])
        assert totals(api) == {}
        metrics.Attempt.objects.update(finished_at=timezone.now() - timedelta(minutes=1))
        assert totals(api) == {("recording", "sent"): 1}
        assert AttemptTotal.objects.count() == 1

    def test_the_number_below_a_fresh_attempt_is_not_passed(self, accepted: Any) -> None:
        """It may belong to a transaction that is open: what appears under it later is counted."""
        long_ago = timezone.now() - timedelta(minutes=1)
        tasks.deliver.call([str(accepted().pk)])
        metrics.Attempt.objects.update(finished_at=long_ago)
        assert [total.count for total in metrics.count_attempts()] == [1]
        tasks.deliver.call([str(accepted().pk) for _ in range(2)])
        late = metrics.Attempt.objects.order_by("pk")[1]
        metrics.Attempt.objects.filter(pk=late.pk).delete()
        assert [total.count for total in metrics.count_attempts()] == [1]
        late.save()
        metrics.Attempt.objects.update(finished_at=long_ago)
        assert [total.count for total in metrics.count_attempts()] == [3]

    def test_many_are_counted_in_parts(
        self, accepted: Any, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
    ) -> None:
        """One transaction for each part, and none is left out, though there are gaps."""
        monkeypatch.setattr(metrics, "SETTLED_AFTER", timedelta(0))
        monkeypatch.setattr(metrics, "COUNTED_AT_ONCE", 2)
        tasks.deliver.call([str(accepted().pk) for _ in range(9)])
        gone = list(metrics.Attempt.objects.order_by("pk").values_list("pk", flat=True)[2:5])
        metrics.Attempt.objects.filter(pk__in=gone).delete()
        assert [total.count for total in metrics.count_attempts()] == [6]
        with django_assert_max_num_queries(5):
            assert [total.count for total in metrics.count_attempts()] == [6]


def refuse(message: Any) -> None:
    raise DeliveryError("no such mailbox", permanent=True)


def totals(api: APIClient) -> dict[tuple[str, str], float]:
    samples = scrape(api, "notifications_attempts")
    return {(sample.labels["channel"], sample.labels["outcome"]): sample.value for sample in samples}


def scrape(api: APIClient, name: str) -> list[Sample]:
    """The samples of one family. The others, of all that this process was asked for, are not read."""
    response = api.get("/metrics")
    assert response.status_code == 200, response.content
    lines = [line for line in response.content.decode().splitlines(keepends=True) if name in line]
    families = text_string_to_metric_families("".join(lines))
    return next(list(family.samples) for family in families if family.name == name)


@pytest.mark.process
def test_metrics_of_several_processes(tmp_path: Path, migrated: str) -> None:
    """Each of three web processes tells of the requests of all of them, and nothing is left over at the end."""
    port = free_port()
    with private_database(tmp_path, template=migrated) as database_url:
        env = {
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DATABASE_URL": database_url,
            "DEBUG": "true",
            "SECRET_KEY": "x",
            "PORT": str(port),
            "WEB_CONCURRENCY": "3",
            "TMPDIR": str(tmp_path),
        }
        gunicorn = Path(sys.executable).with_name("gunicorn")
        url = f"http://127.0.0.1:{port}"
        output = tmp_path / "web.txt"
        with running(gunicorn, "project.wsgi", env=env, output=output) as master:
            wait_until(lambda: answers(url))
            for _ in range(60):
                assert _get(f"{url}/livez").status_code == 200
            before = _livez(url)
            assert all(_livez(url) == before for _ in range(20))
            assert before >= 60
            master.send_signal(signal.SIGHUP)  # a reload: the settings are read again, the counts go on
            wait_until(lambda: output.read_text().count("Booting worker") >= 6)
            wait_until(lambda: output.read_text().count("Worker exiting") >= 3)
            assert _livez(url) >= before
            # Else every reload would leave three files more, for each scrape to read.
            wait_until(lambda: _counting(tmp_path) <= {"gone", *_workers(master.pid)})
            assert len(list(tmp_path.glob("notifications-metrics-*"))) == 1
        assert not list(tmp_path.glob("notifications-metrics-*"))


def _counting(folder: Path) -> set[str]:
    """Of whom there is a file."""
    return {file.stem.rpartition("_")[2] for file in folder.glob("notifications-metrics-*/*.db")}


def _workers(master: int) -> set[str]:
    return {str(child.pid) for child in psutil.Process(master).children()}


def _get(url: str) -> httpx.Response:
    """On a new connection, so that all processes get some. One that has just been forked answers when it has loaded."""
    return httpx.get(url, timeout=30, verify=False)


def _livez(url: str) -> float:
    families = text_string_to_metric_families(_get(f"{url}/metrics").text)
    samples = next(family for family in families if family.name == "http_request_duration_seconds").samples
    return next(
        sample.value
        for sample in samples
        if sample.name.endswith("_count") and sample.labels["route"] == "notifications:livez"
    )
