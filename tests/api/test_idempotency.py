"""The same request twice has one effect and one answer."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection, connections
from django.db.models import F
from django_q.models import OrmQ
from rest_framework.test import APIClient

from notifications import services
from notifications.api import idempotency
from notifications.models import IdempotencyKey, Notification
from tests.api.conftest import problem
from tests.processes import free_port, private_database, running, wait_until

LIST = "/api/v1/notifications"
SEND = "/send-notification/you@example.com"
NEW = {"recipient": "you@example.com", "message": "hello"}
KEY = {"Idempotency-Key": "order 7"}


@pytest.mark.django_db
class TestOneAfterTheOther:
    """Replays, conflicts, and what is not kept."""

    @pytest.mark.parametrize(
        ("path", "body"), [(LIST, NEW), (f"{LIST}/bulk", [NEW]), (SEND, {"message": "hello"})]
    )
    def test_the_stored_answer_again(self, api: APIClient, path: str, body: Any) -> None:
        """Status, Location and body of the first time, marked as replayed; no second effect."""
        first = api.post(path, body, "json", headers=KEY)
        again = api.post(path, body, "json", headers=KEY)
        assert "Idempotent-Replayed" not in first
        assert again["Idempotent-Replayed"] == "true"
        assert (again.status_code, again.content) == (first.status_code, first.content)
        for name in ("Location", "Notification-Via"):
            assert again.get(name) == first.get(name)
        assert again["Content-Type"] == "application/json"
        assert Notification.objects.count() == OrmQ.objects.count() == 1

    def test_a_form(self, api: APIClient) -> None:
        """The body is compared as it came, whatever it was written in."""
        for _ in range(2):
            response = api.post(SEND, {"message": "hi"}, "multipart", headers=KEY)
            assert response.status_code == 200
        assert Notification.objects.get().message == "hi"

    def test_another_body(self, api: APIClient) -> None:
        """422: a key belongs to one request, its query included."""
        api.post(SEND, headers=KEY)
        problem(api.post(SEND, {"message": "other"}, "json", headers=KEY), 422)
        problem(api.post(f"{SEND}?via=thread", headers=KEY), 422)
        assert Notification.objects.count() == 1

    def test_scope(self, api: APIClient, caller: Any) -> None:
        """The key of another caller, or of another path, is another key."""
        api.post(LIST, NEW, "json", headers=KEY)
        assert caller("bob").post(LIST, NEW, "json", headers=KEY).status_code == 202
        assert api.post(SEND, headers=KEY).status_code == 200
        assert Notification.objects.count() == 3

    def test_errors_are_not_kept(self, api: APIClient) -> None:
        """The corrected request may come with the same key."""
        problem(api.post(LIST, NEW | {"recipient": "nobody"}, "json", headers=KEY), 400)
        assert api.post(LIST, NEW, "json", headers=KEY).status_code == 202

    def test_kept_for_a_day(self, api: APIClient) -> None:
        """After 24 hours the key is free again."""
        first = api.post(LIST, NEW, "json", headers=KEY)
        IdempotencyKey.objects.update(created_at=F("created_at") - timedelta(hours=23))
        assert api.post(LIST, NEW, "json", headers=KEY).json()["id"] == first.json()["id"]
        IdempotencyKey.objects.update(created_at=F("created_at") - timedelta(hours=1))
        assert api.post(LIST, NEW, "json", headers=KEY).json()["id"] != first.json()["id"]
        assert IdempotencyKey.objects.current().count() == IdempotencyKey.objects.count() == 1

    @pytest.mark.parametrize("key", ["", " ", "x" * 256, "caf\xe9", "a\tb", " a"])
    def test_what_is_no_key(self, api: APIClient, key: str) -> None:
        """400 that names the header; nothing is stored."""
        (error,) = problem(api.post(SEND, headers={"Idempotency-Key": key}), 400)["errors"]
        assert error["parameter"] == "Idempotency-Key"
        assert not Notification.objects.exists()

    @pytest.mark.parametrize("key", ['"a","b"', '"a", "b"', r'"a\"",b', '"a" ,"a"'])
    def test_several_keys(self, api: APIClient, key: str) -> None:
        """Lines that a server has joined are no key of their own."""
        (error,) = problem(api.post(SEND, headers={"Idempotency-Key": key}), 400)["errors"]
        assert error["parameter"] == "Idempotency-Key"

    @pytest.mark.parametrize("key", ["a,b", '"a,b"', '"', '"a', '"a"b', 'a"b",'])
    def test_one_key(self, api: APIClient, key: str) -> None:
        """What may be one is one."""
        assert api.post(SEND, headers={"Idempotency-Key": key}).status_code == 200

    def test_resend(self, api: APIClient) -> None:
        """Each POST that creates knows the key."""
        location = api.post(LIST, NEW, "json")["Location"]
        api.post(f"{location}/cancel")
        ids = {api.post(f"{location}/resend", headers=KEY).json()["id"] for _ in range(2)}
        assert len(ids) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
class TestAtTheSameTime:
    """The unique constraint decides."""

    @pytest.mark.parametrize(("path", "count"), [(LIST, 50), (SEND, 8)])
    def test_fifty_threads(self, admin_user: Any, path: str, count: int) -> None:
        """One notification. Everybody gets its answer, or 409 with Retry-After, and then its answer."""
        barrier = threading.Barrier(count)

        def client_work(number: int) -> tuple[str | None, int]:
            client = APIClient()
            client.force_authenticate(admin_user)
            barrier.wait(timeout=60)
            conflicts = 0
            try:
                while True:
                    response = client.post(path, NEW, "json", headers=KEY)
                    if response.status_code != 409:
                        return response["Location"], conflicts
                    assert response["Retry-After"] == "1"
                    conflicts += 1
                    time.sleep(0.01)  # as a client would, though sooner
            finally:
                connections.close_all()

        with ThreadPoolExecutor(count) as clients:
            answers = list(clients.map(client_work, range(count)))
        assert len({location for location, _ in answers}) == 1
        assert Notification.objects.count() == OrmQ.objects.count() == IdempotencyKey.objects.count() == 1

    def test_without_the_lock_the_constraint_decides(
        self, admin_user: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The lock only saves work: two that both do it leave one notification."""
        monkeypatch.setattr(idempotency, "_alone", lambda digest, using: True)
        self.test_fifty_threads(admin_user, LIST, 8)

    def test_in_flight(self, api: APIClient) -> None:
        """409 with Retry-After while the first is at work, without waiting for it."""
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has one writer: the second waits for it, and gets the stored answer")
        entered, leave = threading.Event(), threading.Event()

        def first() -> None:
            def answer() -> Any:
                entered.set()
                leave.wait(timeout=30)
                raise KeyboardInterrupt

            digest = idempotency._sha256(
                str(api.handler._force_user.pk), "POST", LIST, KEY["Idempotency-Key"]
            )
            try:
                with pytest.raises(KeyboardInterrupt):
                    idempotency._first(digest, "", answer)
            finally:
                connections.close_all()

        thread = threading.Thread(target=first)
        thread.start()
        assert entered.wait(timeout=30)
        response = api.post(LIST, NEW, "json", headers=KEY)
        leave.set()
        thread.join()
        problem(response, 409)
        assert response["Retry-After"] == "1"
        assert api.post(LIST, NEW, "json", headers=KEY).status_code == 202


@pytest.mark.process
def test_killed_between_commit_and_answer(tmp_path: Path, migrated: str) -> None:
    """kill -9 after the commit: the retry gets the stored answer, and there is one notification."""
    port = free_port()
    with private_database(tmp_path, template=migrated) as database_url:
        env = {
            "DJANGO_SETTINGS_MODULE": "tests.api.dying_settings",
            "DATABASE_URL": database_url,
            "DEBUG": "true",
            "SECRET_KEY": "x",
            "PORT": str(port),
            "WEB_CONCURRENCY": "1",
            "NOTIFICATIONS_LOG_FILE": str(tmp_path / "log.txt"),
        }
        gunicorn = Path(sys.executable).with_name("gunicorn")
        with (
            running(gunicorn, "project.wsgi", env=env, output=tmp_path / "web.txt"),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
        ):
            wait_until(lambda: _status(client) == 200)
            with pytest.raises(httpx.RemoteProtocolError):
                client.post(LIST, json=NEW, headers=KEY | {"X-Die": "yes"})
            wait_until(lambda: _status(client) == 200)
            again = client.post(LIST, json=NEW, headers=KEY)
            assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
            assert [item["id"] for item in client.get(LIST).json()["results"]] == [again.json()["id"]]


def _status(client: httpx.Client) -> int:
    try:
        return client.get(LIST).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.slow
@pytest.mark.django_db
def test_pruned_after_a_day(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is older than 24 hours is deleted, in pages; the rest stays."""
    monkeypatch.setattr(services, "PRUNED_AT_ONCE", 2)
    for number in range(5):
        api.post(SEND, headers={"Idempotency-Key": str(number)})
    assert services.prune() == 0
    IdempotencyKey.objects.update(created_at=F("created_at") - timedelta(hours=25))
    api.post(SEND, headers=KEY)
    assert services.prune() == 5
    assert IdempotencyKey.objects.count() == 1


@pytest.mark.slow
@pytest.mark.django_db
def test_a_key_that_is_used_again_is_not_pruned(api: APIClient) -> None:
    """It had expired, and between the look and the deletion it came with a new request."""
    api.post(SEND, headers=KEY)
    IdempotencyKey.objects.update(created_at=F("created_at") - timedelta(hours=25))
    answers = []

    def meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("DELETE") and IdempotencyKey._meta.db_table in sql and not answers:
            answers.append(None)
            answers.append(api.post(SEND, headers=KEY))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(meanwhile):
        assert services.prune() == 0
    assert api.post(SEND, headers=KEY).headers["Idempotent-Replayed"] == "true"
