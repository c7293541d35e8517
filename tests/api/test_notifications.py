"""The resource: make, list, look at, wait for, cancel, resend."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ
from rest_framework.test import APIClient

from notifications import services, tasks
from notifications.api import waiting
from notifications.background.pool import current_pool
from notifications.models import Notification, Status
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db

LIST = "/api/v1/notifications"
NEW = {"recipient": "you@example.com", "message": "hello"}
Accepted = Callable[..., Notification]


def deliver(notification: Notification) -> None:
    tasks.deliver.call([str(notification.pk)])


class TestMaking:
    """202, where to look, and the resource."""

    def test_the_answer(self, api: APIClient, admin_user: Any) -> None:
        """What was accepted is in the answer, as the detail shows it."""
        response = api.post(LIST, NEW | {"subject": "Hi"}, format="json")
        document = response.json()
        assert response.status_code == 202
        assert response["Location"] == f"{LIST}/{document['id']}"
        assert (document["status"], document["via"], document["channel"]) == ("queued", "queue", "log")
        assert (document["subject"], document["attempts"], document["resend_of"]) == ("Hi", [], None)
        assert document == api.get(response["Location"]).json()
        assert Notification.objects.get().owner == admin_user

    def test_scheduled(self, api: APIClient) -> None:
        """`due_at` in the future waits; Retry-After says how long it may."""
        due = datetime.now(UTC) + timedelta(minutes=10)
        response = api.post(LIST, NEW | {"due_at": due.isoformat()}, format="json")
        assert datetime.fromisoformat(response.json()["due_at"]) == due
        assert 590 < int(api.get(response["Location"])["Retry-After"]) <= 600

    @pytest.mark.parametrize(
        ("change", "pointer", "code"),
        [
            ({"recipient": None}, "/recipient", "null"),
            ({"recipient": "nobody"}, "/recipient", "invalid"),
            ({"recipient": "a@example.com, b@example.com"}, "/recipient", "invalid"),
            ({"subject": "a\nb"}, "/subject", "invalid"),
            ({"subject": "x" * 256}, "/subject", "max_length"),
            ({"message": "x" * 10_001}, "/message", "max_length"),
            ({"channel": "pigeon"}, "/channel", "unknown"),
            ({"via": "pigeon"}, "/via", "unknown"),
            ({"due_at": "tomorrow"}, "/due_at", "invalid"),
            ({"dedupe_key": ""}, "/dedupe_key", "blank"),
            ({"you@example.com": 1}, "", "unknown_name"),
            *(
                ({name: 5}, f"/{name}", "invalid")
                for name in ("recipient", "message", "subject", "html", "category", "dedupe_key")
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, api: APIClient, change: Any, pointer: str, code: str) -> None:
        """400 with the place and the reason, never an address; nothing is stored, nothing enqueued."""
        document = problem(api.post(LIST, NEW | change, format="json"), 400)
        (error,) = document["errors"]
        assert (error["pointer"], error["code"]) == (pointer, code)
        assert "example.com" not in str(document)
        assert Notification.objects.count() == OrmQ.objects.count() == 0

    @pytest.mark.parametrize("path", [LIST, "/api/v1/suppressions"])
    def test_nested_without_end(self, api: APIClient, path: str) -> None:
        """400, whatever the reader of JSON makes of it."""
        response = api.generic("POST", path, '{"a":' * 100_000, "application/json")
        assert "nested too deeply" in problem(response, 400)["detail"]

    def test_dedupe_key(self, api: APIClient, caller: Any) -> None:
        """One notification for each key of a caller: asked again, 200 with the one that is there."""
        first = api.post(LIST, NEW | {"dedupe_key": "order 7"}, format="json")
        again = api.post(LIST, NEW | {"dedupe_key": "order 7", "message": "other"}, format="json")
        assert (first.status_code, again.status_code) == (202, 200)
        assert again.json() == first.json()
        assert OrmQ.objects.count() == 1
        other = caller("bob").post(LIST, NEW | {"dedupe_key": "order 7"}, format="json")
        assert other.status_code == 202
        assert other.json()["id"] != first.json()["id"]

    def test_a_chunked_body_is_not_taken_for_an_empty_one(self, api: APIClient) -> None:
        """411: under WSGI Django reads nothing of a body without a length."""
        problem(api.post(LIST, headers={"Transfer-Encoding": "chunked"}), 411)


class TestTheList:
    """Newest first, by keyset, filtered, without a count."""

    @pytest.mark.slow
    def test_pages(self, api: APIClient, accepted: Accepted, django_assert_num_queries: Any) -> None:
        """Each row once, in order, also among rows of one moment; two queries a page at any depth."""
        made = [str(accepted().pk) for _ in range(5)]
        services.accept_many([{"recipient": "you@example.com", "message": "hi"}] * 6)
        seen: list[str] = []
        address = f"{LIST}?page_size=2"
        while address:
            with django_assert_num_queries(2 if "cursor" in address else 1):
                document = api.get(address).json()
            seen += [item["id"] for item in document["results"]]
            address = document["next"]
            if len(seen) == 2:
                services.accept(recipient="new@example.com", message="arrives meanwhile")
        assert len(seen) == len(set(seen)) == 11
        assert seen[-5:] == made[::-1]

    def test_the_plan_reads_the_index(self, caller: Any, accepted: Accepted) -> None:
        """A caller's page is read from its own index, not sorted."""
        client = caller("ann")
        rows = Notification.objects.filter(owner_id=client.user.pk).order_by("-created_at", "-id")[:20]
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute("SET LOCAL enable_bitmapscan = off")
        assert "notification_owned" in rows.explain()

    @pytest.mark.parametrize(
        ("status", "index"),
        [("failed", "notification_failures"), ("cancelled", "notification_cancellations")],
    )
    def test_the_rare_ones_are_not_looked_for_among_all(
        self, api: APIClient, accepted: Accepted, status: str, index: str
    ) -> None:
        """Behind a backlog of a million newer ones a page of failures costs what it did."""
        accepted()
        with connection.cursor() as cursor, CaptureQueriesContext(connection) as asked:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
                cursor.execute("SET LOCAL enable_bitmapscan = off")
            assert api.get(LIST, {"status": status}).json()["results"] == []
        [page] = [query["sql"] for query in asked if "ORDER BY" in query["sql"]]
        explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        with connection.cursor() as cursor:
            cursor.execute(f"{explain} {page}")
            plan = " ".join(str(row[-1]) for row in cursor.fetchall())
        assert index in plan

    @pytest.mark.slow
    def test_filters(self, api: APIClient, accepted: Accepted) -> None:
        """status (several), channel, via, recipient, created_after and created_before."""
        sent, cancelled, queued = accepted(), accepted(), accepted(recipient="me@example.com", channel="log")
        deliver(sent)
        services.cancel(cancelled)

        def found(query: str) -> set[str]:
            return {item["id"] for item in api.get(f"{LIST}?{query}").json()["results"]}

        assert found("status=sent&status=cancelled") == {str(sent.pk), str(cancelled.pk)}
        assert found("channel=log") == found("recipient=me@example.com") == {str(queued.pk)}
        assert found("via=thread") == set()
        assert found("via=%20") == found("channel=%09") == found("recipient=%0D") == set()  # as it came
        assert len(found("created_after=2020-01-01T00:00:00Z&created_before=2999-01-01T00:00:00Z")) == 3
        assert found("created_before=2020-01-01T00:00:00Z") == set()

    def test_the_time_that_is_shown(self, api: APIClient) -> None:
        """From then on, and not before it: the same on both databases, to the microsecond."""
        made = api.post(LIST, NEW, format="json").json()

        def found(**query: Any) -> list[str]:
            return [row["id"] for row in api.get(LIST, query).json()["results"]]

        moment = datetime.fromisoformat(made["created_at"])
        later = (moment + timedelta(microseconds=1)).isoformat()
        assert found(created_after=made["created_at"]) == [made["id"]]
        assert found(created_before=made["created_at"]) == found(created_after=later) == []
        assert found(created_before=later) == [made["id"]]

    @pytest.mark.parametrize("given", ["You@EXAMPLE.COM", "you@münchen.de", "u\u0308@example.com"])
    def test_what_was_given_finds_it(self, api: APIClient, given: str) -> None:
        """So does what is shown instead: the recipient as it is stored."""
        made = api.post(LIST, NEW | {"recipient": given}, format="json").json()
        api.post(LIST, NEW, format="json")
        for recipient in (given, made["recipient"]):
            [row] = api.get(LIST, {"recipient": recipient}).json()["results"]
            assert (row["id"], row["recipient"]) == (made["id"], made["recipient"])

    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ("status=lost@example.com", "status"),
            ("page_size=101", "page_size"),
            ("page_size=0", "page_size"),
            ("via=", "via"),
            ("status=", "status"),
            ("cursor=!", "cursor"),
            ("cursor=AAAA", "cursor"),
            ("created_after=yesterday", "created_after"),
        ],
    )
    def test_a_wrong_query(self, api: APIClient, query: str, parameter: str) -> None:
        """400 that names the parameter, and repeats no address."""
        document = problem(api.get(f"{LIST}?{query}"), 400)
        (error,) = document["errors"]
        assert error["parameter"] == parameter
        assert "example.com" not in str(document)

    def test_a_cursor_whose_row_is_gone(self, api: APIClient) -> None:
        """404: there is no such page any more."""
        problem(api.get(f"{LIST}?cursor={'A' * 22}"), 404)

    def test_a_misspelt_filter(self, api: APIClient) -> None:
        """400: a filter that is passed over would show what should have been left out."""
        problem(api.get(f"{LIST}?stauts=sent"), 400)


class TestTheDetail:
    """What became of it, cheaply asked again."""

    def test_etag(self, api: APIClient, accepted: Accepted) -> None:
        """304 while nothing changed; a new document and tag when something did."""
        notification = accepted()
        location = f"{LIST}/{notification.pk}"
        first = api.get(location)
        unchanged = api.get(location, headers={"If-None-Match": first["ETag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged["ETag"] == first["ETag"]
        assert first["Retry-After"] == "1"
        deliver(notification)
        changed = api.get(location, headers={"If-None-Match": first["ETag"]})
        assert (changed.status_code, changed.json()["status"]) == (200, "sent")
        assert "Retry-After" not in changed

    def test_a_precondition(self, api: APIClient, accepted: Accepted) -> None:
        """If-Match compares strongly, and the tag is weak: 412, which is a problem document as every error is."""
        location = f"{LIST}/{accepted().pk}"
        problem(api.get(location, headers={"If-Match": api.get(location)["ETag"]}), 412)
        assert api.get(location, headers={"If-Match": "*"}).status_code == 200


class TestWaiting:
    """`Prefer: wait=N` holds the answer until there is an end, within bounds."""

    @pytest.mark.django_db(transaction=True)
    def test_for_a_thread(self, api: APIClient) -> None:
        """POST answers 200 with the end: the work does not wait for the answer that waits for it."""
        response = api.post(LIST, NEW | {"via": "thread"}, format="json", headers={"Prefer": "wait=9"})
        assert (response.status_code, response.json()["status"]) == (200, "sent")
        assert response["Location"] == f"{LIST}/{response.json()['id']}"
        assert response["Preference-Applied"] == "wait=9"
        assert current_pool().wait_idle(timeout=10)

    def test_the_time_is_up(self, api: APIClient, settings: Any) -> None:
        """202 when it has not ended; the wait is capped by the settings, which the answer says."""
        settings.NOTIFICATIONS_MAX_WAIT = timedelta(milliseconds=10)
        response = api.post(LIST, NEW, format="json", headers={"Prefer": "respond-async, wait=99999"})
        assert response.status_code == 202
        assert response["Preference-Applied"] == "wait=0.01"

    @pytest.mark.django_db(transaction=True)
    def test_on_the_detail(self, api: APIClient, accepted: Accepted, settings: Any) -> None:
        """GET waits as well, in no transaction: the end that another connection commits is seen."""
        settings.NOTIFICATIONS_MAX_WAIT = timedelta(seconds=10)
        notification = accepted()
        worker = threading.Thread(target=_deliver_elsewhere, args=(notification,))
        worker.start()
        document = api.get(f"{LIST}/{notification.pk}", headers={"Prefer": "wait=9"}).json()
        worker.join()
        assert document["status"] == "sent"

    def test_only_so_many_wait(self, api: APIClient, accepted: Accepted) -> None:
        """Past the bound a request is answered at once, without a look, and no wait is claimed: waiting takes no more
        threads than that."""
        notification = accepted()
        unfinished = accepted()
        deliver(notification)
        taken = [waiting.waiters.acquire(blocking=False) for _ in range(5)]
        try:
            assert taken == [True] * 4 + [False]
            assert waiting.wait_until_settled(notification.pk, 60) is None
            for response in (
                api.post(LIST, NEW, format="json", headers={"Prefer": "wait=9"}),
                api.get(f"{LIST}/{unfinished.pk}", headers={"Prefer": "wait=9"}),
            ):
                assert "Preference-Applied" not in response
        finally:
            for _ in range(4):
                waiting.waiters.release()
        assert waiting.wait_until_settled(notification.pk, 60) is True

    @pytest.mark.parametrize("preference", ["wait", "wait=", "wait=-1", "wait=x", "return=minimal", "wait=0"])
    def test_no_wait(self, api: APIClient, preference: str) -> None:
        """What is no wait is passed over, as RFC 7240 has it."""
        response = api.post(LIST, NEW, format="json", headers={"Prefer": preference})
        assert response.status_code == 202
        assert "Preference-Applied" not in response


def _deliver_elsewhere(notification: Notification) -> None:
    try:
        deliver(notification)
    finally:
        connection.close()


class TestCancelAndResend:
    """By compare-and-set, with 409 for what has gone too far or not far enough."""

    def test_cancel(self, api: APIClient, accepted: Accepted) -> None:
        """200 once, then 409; a worker that comes later finds nothing to do."""
        notification = accepted()
        response = api.post(f"{LIST}/{notification.pk}/cancel")
        assert (response.status_code, response.json()["status"]) == (200, "cancelled")
        deliver(notification)
        problem(api.post(f"{LIST}/{notification.pk}/cancel"), 409)
        notification.refresh_from_db()
        assert notification.status == Status.CANCELLED

    def test_cancel_what_was_sent(self, api: APIClient, accepted: Accepted) -> None:
        """409 once it is final."""
        notification = accepted()
        deliver(notification)
        problem(api.post(f"{LIST}/{notification.pk}/cancel"), 409)

    def test_resend(self, api: APIClient, accepted: Accepted) -> None:
        """409 while unfinished; then 202 with a new id that names the old one, and what was said before."""
        notification = accepted(subject="Hi")
        problem(api.post(f"{LIST}/{notification.pk}/resend"), 409)
        deliver(notification)
        response = api.post(f"{LIST}/{notification.pk}/resend")
        document = response.json()
        assert (response.status_code, response["Location"]) == (202, f"{LIST}/{document['id']}")
        assert document["id"] != document["resend_of"] == str(notification.pk)
        assert (document["subject"], document["message"]) == (notification.subject, notification.message)

    def test_unknown(self, api: APIClient) -> None:
        """404."""
        for action in ("cancel", "resend"):
            problem(api.post(f"{LIST}/{uuid4()}/{action}"), 404)
