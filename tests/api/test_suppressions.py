"""The suppression list by the API: look, add, take off; one list for all who may."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from rest_framework.test import APIClient

from notifications import suppression
from notifications.models import Suppression
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db
LIST = "/api/v1/suppressions"


@pytest.fixture
def ann(caller: Callable[..., APIClient]) -> APIClient:
    return caller("ann", "suppress")


def found(client: APIClient, query: str) -> list[str]:
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200, response.content
    return [entry["address"] for entry in response.json()["results"]]


def test_put_look_and_take_off(ann: APIClient, django_assert_num_queries: Any) -> None:
    """201 and where it is; 200 with the same entry for another spelling; 204, and then it is gone."""
    made = ann.post(LIST, {"address": "You@Example.com", "category": "news", "note": "by phone"}, "json")
    entry = made.json()
    assert (made.status_code, made["Location"]) == (201, f"{LIST}/{entry['id']}")
    assert (entry["address"], entry["category"], entry["reason"]) == ("you@example.com", "news", "manual")
    assert Suppression.objects.get().created_by == ann.user
    again = ann.post(LIST, {"address": "YOU@example.com", "category": "news", "note": "other"}, "json")
    assert (again.status_code, again["Location"], again.json()) == (200, made["Location"], entry)
    with django_assert_num_queries(2):  # the caller, the entry
        assert ann.get(made["Location"]).json() == entry
    gone = ann.delete(made["Location"])
    assert (gone.status_code, gone.content) == (204, b"")
    for method in (ann.get, ann.delete):
        problem(method(made["Location"]), 404)
    problem(ann.get(f"{LIST}/{uuid4()}"), 404)


def test_everything_is_another_entry_than_a_category(ann: APIClient) -> None:
    """An address may be there for one category and for all."""
    codes = [
        ann.post(LIST, {"address": "you@example.com", **more}, "json").status_code
        for more in ({"category": "news"}, {}, {})
    ]
    assert codes == [201, 201, 200]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/address", "required"),
        ({"address": "nobody"}, "/address", "invalid"),
        ({"address": "a@example.com, b@example.com"}, "/address", "invalid"),
        ({"address": "a" * 250 + "@example.com"}, "/address", "max_length"),
        ({"address": "you@example.com", "category": "No News"}, "/category", "invalid"),
        ({"address": "you@example.com", "note": "x" * 256}, "/note", "max_length"),
        ({"address": "you@example.com", "category": 1}, "/category", "invalid"),
        ({"address": "you@example.com", "note": 1}, "/note", "invalid"),
        ({"address": "you@example.com", "reason": "bounce"}, "", "unknown_name"),
    ],
)
def test_what_is_wrong_is_named(ann: APIClient, body: Any, pointer: str, code: str) -> None:
    """400 with the place and the reason, never an address; nothing is stored."""
    document = problem(ann.post(LIST, body, "json"), 400)
    assert [(error["pointer"], error["code"]) for error in document["errors"]] == [(pointer, code)]
    assert "example.com" not in str(document)
    assert not Suppression.objects.exists()


@pytest.mark.slow
def test_filters(ann: APIClient) -> None:
    """address in any case, category (empty: what stops everything), reason."""
    suppression.add("a@example.com", reason="bounce")
    suppression.add("b@example.com", category="news", reason="unsubscribed")
    suppression.add("a@example.com", category="news")
    assert found(ann, "address=A@EXAMPLE.com") == ["a@example.com"] * 2
    assert found(ann, "category=news") == ["a@example.com", "b@example.com"]
    assert found(ann, "category=") == found(ann, "reason=bounce") == ["a@example.com"]
    assert found(ann, "address=b@example.com&category=") == found(ann, "address=nobody") == []
    assert found(ann, "address=%0D") == found(ann, "address=%20a@example.com") == []  # as it came
    wrong = {"reason=a@example.com": "reason", "page_size=0": "page_size", "cursor=!": "cursor"}
    for query, parameter in wrong.items():
        document = problem(ann.get(f"{LIST}?{query}"), 400)
        assert document["errors"][0]["parameter"] == parameter
        assert "example.com" not in str(document)
    problem(ann.get(f"{LIST}?adress=a@example.com"), 400)


@pytest.mark.parametrize("given", ["You@MÜNCHEN.de", "u\u0308@example.com"])
def test_what_was_given_finds_it(ann: APIClient, given: str) -> None:
    """So does what is shown instead: the address as it is on the list."""
    shown = ann.post(LIST, {"address": given}, "json").json()["address"]
    assert shown != given
    for address in (given, shown):
        response = ann.get(LIST, {"address": address})
        assert [entry["address"] for entry in response.json()["results"]] == [shown]


def test_pages(ann: APIClient, django_assert_num_queries: Any) -> None:
    """Newest first, each once, filters kept; as many queries at any depth."""
    made = [suppression.add(f"you{n}@example.com")[0].address for n in range(5)]
    suppression.add("you@example.com", category="news")
    seen, address = [], f"{LIST}?page_size=2&category="
    while address:
        with django_assert_num_queries(3 if "cursor" in address else 2):
            page = ann.get(address).json()
        seen += [entry["address"] for entry in page["results"]]
        address = page["next"]
    assert seen == made[::-1]


def test_the_plan_reads_the_index() -> None:
    """A page of a long list is read from its index, not sorted."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
    assert "suppression_newest" in Suppression.objects.order_by("-created_at", "-id")[:20].explain()


def test_what_the_admin_masks_is_not_shown_here(caller: Callable[..., APIClient]) -> None:
    """403 for who may send, read and look at everything, but not this."""
    suppression.add("you@example.com")
    other = caller("bob", "add", "view", "cancel", "resend", "view_all")
    problem(other.get(LIST), 403)
    problem(other.get(f"{LIST}/{Suppression.objects.get().pk}"), 403)
