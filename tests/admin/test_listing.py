"""The list at any size: its plans, its bound, its statements."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from notifications import services
from notifications.admin import NotificationAdmin, keyset, listing
from notifications.models import Notification, Status
from notifications.selection import beginning

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]
LIST = "admin:notifications_notification_changelist"


@pytest.fixture
def only_indexes() -> None:
    """With few rows PostgreSQL would rather look at all of them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for way in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", ""),
        ("status=failed", "notification_failed"),
        ("status=cancelled", "notification_cancelled"),
        ("status=sent&since=day", ""),
        ("q=you@example.com", "notification_recipients"),
    ],
)
@pytest.mark.usefixtures("only_indexes")
def test_the_plan_of_a_page(accepted: Accept, admin_user: Any, query: str, index: str) -> None:
    """Read in the order of an index: no look at all rows, no sort."""
    accepted()
    plan = _rows(admin_user, query)[:50].explain()
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
    assert index in plan


@pytest.mark.parametrize(
    ("status", "index"), [("queued", "queued"), ("sending", "leases"), ("unknown", "unknown")]
)
@pytest.mark.usefixtures("only_indexes")
def test_the_plan_of_what_is_unfinished(admin_user: Any, status: str, index: str) -> None:
    """Read in the order of its own small index; only the same moment is put in order."""
    plan = _rows(admin_user, f"status={status}")[:50].explain()
    assert f"notification_{index}" in plan
    assert "Seq Scan" not in plan


@pytest.mark.usefixtures("only_indexes")
def test_the_plan_of_a_beginning(accepted: Accept) -> None:
    """A range of the index on recipients, and only so much of it."""
    plan = beginning(Notification.objects.order_by("-pk"), "you").explain()
    assert "notification_recipients" in plan
    assert "Seq Scan" not in plan


def test_a_beginning(accepted: Accept) -> None:
    """The same on both databases: by the bytes, whatever stands in it."""
    ann, other = accepted(recipient="ann@example.com"), accepted(recipient="aNn@example.com")
    rows = Notification.objects.all()
    assert list(beginning(rows, "ann")) == [ann]
    assert list(beginning(rows, "aNn")) == [other]
    assert list(beginning(rows, "a%")) == []


@pytest.mark.slow
def test_a_rare_channel_is_looked_for_among_the_newest(
    accepted: Accept, admin_client: Client, monkeypatch: Any
) -> None:
    """It has no index, which a POST would pay for."""
    monkeypatch.setattr(listing, "NEWEST", 2)
    old = accepted(channel="log")
    new = [accepted() for _ in range(2)]
    page = admin_client.get(reverse(LIST), {"channel": "recording"}).content.decode()
    assert all(str(row.pk) in page for row in new)
    assert str(old.pk) not in admin_client.get(reverse(LIST), {"channel": "log"}).content.decode()


@pytest.mark.slow
def test_nothing_is_counted_without_end(accepted: Accept, admin_client: Client, monkeypatch: Any) -> None:
    """The list says that there are more, and has pages for what it counted."""
    monkeypatch.setattr(listing, "BOUND", 2)
    monkeypatch.setattr("notifications.figures.BOUND", 2)
    for _ in range(4):
        accepted()
    page = admin_client.get(reverse(LIST)).content.decode()
    assert "2+ notifications" in page


@pytest.mark.slow
def test_what_a_page_costs(accepted: Accept, admin_client: Client, django_assert_num_queries: Any) -> None:
    """Session, user, count, rows: no more with more rows, whatever order is asked for."""
    for _ in range(5):
        accepted()
    with django_assert_num_queries(4):
        admin_client.get(reverse(LIST), {"o": "2"})
    last = accepted()
    with django_assert_num_queries(4):
        admin_client.get(reverse(LIST), {"after": last.pk})


@pytest.fixture
def page(admin_client: Client, monkeypatch: Any) -> Callable[[str], Any]:
    """A page of two rows at an address of the list: its ids, and what leads on, by relation."""
    monkeypatch.setattr(NotificationAdmin, "list_per_page", 2)

    def get(query: str) -> tuple[list[Any], dict[str, str]]:
        response = admin_client.get(reverse(LIST) + query)
        assert response.status_code == 200
        links = re.findall(r'<a href="([^"]*)" rel="([a-z]+)">', response.content.decode())
        return [row.pk for row in response.context["cl"].result_list], {
            rel: unescape(url) for url, rel in links
        }

    return get


@pytest.mark.slow
@pytest.mark.parametrize("query", ["", "?status=queued&channel=recording"])
def test_there_and_back(page: Any, admin_user: Any, monkeypatch: Any, query: str) -> None:
    """To the last row, past the bound of the count, and back: each row once, though many have one moment."""
    monkeypatch.setattr(listing, "BOUND", 3)
    item = {"recipient": "you@example.com", "message": "hi", "channel": "recording", "via": "queue"}
    services.accept_many([item] * 3)
    services.accept_many([item] * 4)
    expected = [row.pk for row in _rows(admin_user, query.lstrip("?"))]
    found, links = page(query)
    assert "prev" not in links
    while "next" in links:
        more, links = page(links["next"])
        found += more
    assert found == expected
    back = more
    while "prev" in links:
        more, links = page(links["prev"])
        back = more + back
    assert back[-len(expected) :] == expected
    assert "first" not in links


@pytest.mark.slow
def test_what_was_there_may_be_gone(page: Any) -> None:
    """A page begins where the last one ended, although that row is not in the list any more."""
    item = {"recipient": "you@example.com", "message": "hi", "channel": "recording", "via": "queue"}
    rows = sorted(row.pk for row in services.accept_many([item] * 5))
    found, links = page("?status=queued")
    services.cancel(Notification.objects.get(pk=found[-1]))
    found += page(links["next"])[0]
    assert sorted(found) == rows[1:]
    assert page(f"?status=failed&after={rows[0]}") == ([], {"first": "?status=failed"})


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "before=x",
        "status=queued&after={id}",
        "after={id}~2026-01-01 00:00:00",
        "status=queued&after={id}~----------",
        "status=queued&after={id}~2026-02-30 00:00:00",
        "status=queued&after={id}~2026-01-01 00:00:00%2B23:59",  # PostgreSQL's end at 15:59
        "via=%00",
    ],
)
def test_what_is_no_place(accepted: Accept, admin_client: Client, query: str) -> None:
    """Django's own answer for an address that makes no sense: the list from its beginning."""
    answer = admin_client.get(f"{reverse(LIST)}?{query.format(id=accepted().pk)}")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{reverse(LIST)}?e=1")


@pytest.mark.parametrize("direction", ["after", "before"])
@pytest.mark.parametrize(
    ("query", "index"),
    [("", ""), ("status=failed", "failed"), ("status=queued", "queued"), ("status=sending", "leases")],
)
@pytest.mark.usefixtures("only_indexes")
def test_the_plan_of_any_page(
    accepted: Accept, admin_user: Any, query: str, index: str, direction: str
) -> None:
    """It is looked up where it begins: what lies before it is not read. One statement."""
    moment = listing.ORDERS.get(query.partition("=")[2], "")
    place = keyset.Place(accepted().pk, "2026-01-01 00:00:00.000000" if moment else "")
    rows = _rows(admin_user, query)
    with CaptureQueriesContext(connection) as captured:
        keyset.page(rows, moment, 50, **{direction: str(place)})
    statement = captured[0]["sql"]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'' if connection.vendor == 'postgresql' else 'QUERY PLAN '}{statement}")
        plan = " ".join(str(row) for row in cursor.fetchall())
    # Less than a page is before it: the first one.
    assert len(captured) == (2 if direction == "before" else 1)
    assert "Seq Scan" not in plan
    assert f"notification_{index}" in plan if index else True
    assert "Index Cond" in plan if connection.vendor == "postgresql" else "SEARCH" in plan
    if not moment:
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan


def _rows(user: Any, query: str) -> Any:
    from django.contrib import admin

    request = RequestFactory().get(f"/?{query}")
    request.user = user
    return admin.site.get_model_admin(Notification).get_changelist_instance(request).queryset


def test_the_order_of_what_waits(accepted: Accept, admin_user: Any) -> None:
    """The longest waiting first; everything else the newest first."""
    first, second = accepted(), accepted()
    Notification.objects.filter(pk=first.pk).update(next_attempt_at=Now() - timedelta(seconds=1))
    assert [row.pk for row in _rows(admin_user, f"status={Status.QUEUED}")] == [first.pk, second.pk]
    assert [row.pk for row in _rows(admin_user, "")] == [second.pk, first.pk]
