"""How often: callers, addresses, recipients."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django_q.models import OrmQ
from rest_framework.test import APIClient

from notifications import limits, services
from notifications.exceptions import RecipientLimitReached
from notifications.models import Notification, RecipientCount
from notifications.rates import Rate
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db

SEND = "/send-notification/you@example.com"
LIST = "/api/v1/notifications"
NEW = {"recipient": "you@example.com", "message": "hello"}


class TestRates:
    """Counted before the work; 429 says when to come back."""

    def test_a_caller(self, caller: Callable[..., APIClient], settings: Any) -> None:
        """The rate is the user's, whatever it asks for; another caller has its own."""
        settings.NOTIFICATIONS_RATES = {"caller": "2/day"}
        ann, bob = caller("ann"), caller("bob")
        assert [ann.post(SEND).status_code, ann.get(LIST).status_code] == [200, 200]
        response = ann.post(SEND)
        problem(response, 429)
        assert 0 < int(response["Retry-After"]) <= 24 * 3600
        assert bob.get(LIST).status_code == 200
        assert Notification.objects.count() == 1

    def test_an_address_that_is_not_let_in(self, client: Any, api: APIClient, settings: Any) -> None:
        """Guessing is slowed down by address, before the look-up; who is let in is not counted."""
        settings.NOTIFICATIONS_RATES = {"address": "2/day"}
        for _ in range(3):
            assert api.get(LIST).status_code == 200
        assert [client.get(LIST).status_code for _ in range(2)] == [401, 401]
        response = client.get(LIST, headers={"Authorization": "Bearer x"})
        problem(response, 429)
        assert int(response["Retry-After"]) > 0
        assert client.get(LIST, REMOTE_ADDR="192.0.2.7").status_code == 401
        # What a client says of itself changes nothing.
        assert client.get(LIST, headers={"X-Forwarded-For": "192.0.2.8"}).status_code == 429

    @pytest.mark.parametrize(
        "text", ["fast", "1/fortnight", "-1/day", "1", "/day", "0/day", "\u0661/day", "1/day\n"]
    )
    def test_what_is_no_rate(self, text: str) -> None:
        """Refused with the way to write it."""
        with pytest.raises(ValueError, match="100/minute"):
            Rate.parse(text)


class TestRecipients:
    """One recipient gets so many in an hour and on a day, whoever sends and in whichever process."""

    @pytest.mark.slow
    @pytest.mark.parametrize("window", ["hour", "day"])
    def test_the_limit(self, api: APIClient, settings: Any, window: str) -> None:
        """429 with Retry-After past it; another recipient is not concerned; nothing is stored."""
        settings.NOTIFICATIONS_RECIPIENT_LIMITS = {window: 2}
        assert [api.post(SEND).status_code for _ in range(2)] == [200, 200]
        response = api.post(SEND)
        assert window in problem(response, 429)["detail"]
        assert 0 < int(response["Retry-After"]) <= {"hour": 3600, "day": 24 * 3600}[window]
        assert api.post("/send-notification/me@example.com").status_code == 200
        assert Notification.objects.count() == OrmQ.objects.count() == 3

    def test_the_next_window(self, settings: Any) -> None:
        """An hour later the hour begins anew, the day does not."""
        settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"hour": 1, "day": 2}
        limits.count("a")
        with pytest.raises(RecipientLimitReached, match="hour"):
            limits.count("a")
        RecipientCount.objects.update(hour=0)
        limits.count("a")
        RecipientCount.objects.update(hour=0)
        with pytest.raises(RecipientLimitReached, match="day"):
            limits.count("a")
        RecipientCount.objects.update(day=0)
        limits.count("a")
        assert services.prune() == 0
        RecipientCount.objects.update(day=0)
        assert services.prune() == 1

    def test_counts_of_past_days_are_deleted_in_pages(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At midnight that is all of a day: whoever accepts must not wait for it."""
        settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"day": 1}
        monkeypatch.setattr(services, "PRUNED_AT_ONCE", 2)
        for recipient in "abcde":
            limits.count(recipient)
        RecipientCount.objects.update(day=0)
        deleted: list[int] = []

        def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            result = execute(sql, params, many, context)
            if sql.startswith("DELETE"):
                deleted.append(context["cursor"].rowcount)
            return result

        with connections["default"].execute_wrapper(watch):
            assert services.prune() == 5
        assert [count for count in deleted if count] == [2, 2, 1]

    def test_a_count_that_began_anew_stays(self, settings: Any) -> None:
        """It was to be deleted, and before it was the recipient had another one."""
        settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"day": 1}
        limits.count("a")
        RecipientCount.objects.update(day=0)

        def meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if sql.startswith("DELETE"):
                RecipientCount.objects.update(day=limits.NO_LIMIT)
            return execute(sql, params, many, context)

        with connections["default"].execute_wrapper(meanwhile):
            assert services.prune() == 0
        assert RecipientCount.objects.count() == 1

    @pytest.mark.slow
    def test_a_batch(self, api: APIClient, settings: Any) -> None:
        """Each item by itself; with atomic, all or none."""
        settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"day": 2}
        results = api.post(f"{LIST}/bulk", [NEW] * 3, "json").json()["results"]
        assert [result["code"] for result in results] == [202, 202, 429]
        problem(api.post(f"{LIST}/bulk?atomic=true", [NEW], "json"), 400)
        assert Notification.objects.count() == 2

    def test_what_rolls_back_was_not_counted(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The count is part of the transaction that accepts."""
        settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"day": 1}
        with monkeypatch.context() as broken:
            broken.setattr("notifications.intake.enqueue_many", lambda *args, **kwargs: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                services.accept(**NEW)
        services.accept(**NEW)

    def test_no_address_is_kept(self, settings: Any) -> None:
        """The table of counts is no list of addresses."""
        settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"day": 1}
        services.accept(**NEW)
        assert "example" not in str(RecipientCount.objects.values().get())

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.slow
    def test_over_threads(self, settings: Any) -> None:
        """Twenty at once, five allowed: five get in, also when the first row is not there yet."""
        settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"hour": 5}
        barrier = threading.Barrier(20)

        def accept(number: int) -> bool:
            barrier.wait(timeout=60)
            try:
                services.accept(**NEW)
            except RecipientLimitReached:
                return False
            else:
                return True
            finally:
                connections.close_all()

        with ThreadPoolExecutor(20) as threads:
            assert sum(threads.map(accept, range(20))) == 5
        assert Notification.objects.count() == 5
