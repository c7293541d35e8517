"""Many in one request."""

import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ
from rest_framework.test import APIClient

from notifications.background.pool import current_pool
from notifications.models import Notification, Status
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db

BULK = "/api/v1/notifications/bulk"
GOOD = {"recipient": "you@example.com", "message": "hello"}
BAD = {"recipient": "nobody", "message": "hello"}


def test_one_result_for_each(api: APIClient, admin_user: Any) -> None:
    """In their order: what was accepted has an id, what was not has its errors; the good do not wait for the bad."""
    response = api.post(
        BULK, [GOOD, BAD, {}, 7, GOOD | {"dedupe_key": "a"}, GOOD | {"dedupe_key": "a"}], "json"
    )
    results = response.json()["results"]
    assert response.status_code == 202
    assert [result["code"] for result in results] == [202, 400, 400, 400, 202, 200]
    assert [error["pointer"] for error in results[1]["errors"]] == ["/recipient"]
    assert {error["pointer"] for error in results[2]["errors"]} == {"/recipient", "/message"}
    assert results[4]["id"] == results[5]["id"]
    assert Notification.objects.filter(owner=admin_user).count() == 2
    assert (Notification.objects.count(), OrmQ.objects.count()) == (2, 1)
    assert api.get(results[0]["location"]).json()["id"] == results[0]["id"]


def test_lines(api: APIClient) -> None:
    """Newline-delimited JSON says the same."""
    lines = "\n".join([json.dumps(GOOD), "", json.dumps(BAD), json.dumps(GOOD)])
    response = api.generic("POST", BULK, lines, "application/x-ndjson")
    assert [result["code"] for result in response.json()["results"]] == [202, 400, 202]
    assert "line 2" in problem(api.generic("POST", BULK, "{}\n{", "application/x-ndjson"), 400)["detail"]


def test_all_or_nothing(api: APIClient) -> None:
    """`?atomic=true`: one bad item and nothing is stored; the answer says where each mistake is."""
    document = problem(api.post(f"{BULK}?atomic=true", [GOOD, BAD], "json"), 400)
    assert [error["pointer"] for error in document["errors"]] == ["/1/recipient"]
    document = problem(api.post(f"{BULK}?atomic=true", [{}, GOOD], "json"), 400)
    assert {error["pointer"] for error in document["errors"]} == {"/0/recipient", "/0/message"}
    assert Notification.objects.count() == OrmQ.objects.count() == 0
    assert api.post(f"{BULK}?atomic=true", [GOOD, GOOD], "json").status_code == 202
    assert (Notification.objects.count(), OrmQ.objects.count()) == (2, 1)


@pytest.mark.slow
def test_two_inserts_a_chunk(api: APIClient) -> None:
    """A thousand are one transaction with one INSERT of entries and one of rows."""
    with CaptureQueriesContext(connection) as queries:
        assert api.post(BULK, [GOOD] * 1001, "json").status_code == 202
    inserts = [
        table
        for query in queries
        for table in ("django_q_ormq", "notifications_notification")
        if re.search(f'INSERT INTO "?{table}', query["sql"])
    ]
    assert inserts == ["django_q_ormq", "notifications_notification"] * 2
    assert (Notification.objects.count(), OrmQ.objects.count()) == (1001, 11), "a hundred share an entry"


@pytest.mark.django_db(transaction=True)
def test_on_threads(api: APIClient) -> None:
    """`via=thread` needs no worker here either."""
    response = api.post(BULK, [GOOD | {"via": "thread"}] * 3 + [GOOD], "json")
    assert {result["code"] for result in response.json()["results"]} == {202}
    assert current_pool().wait_idle(timeout=10)
    assert Notification.objects.filter(via="thread", status=Status.SENT).count() == 3
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "content_type", "status", "detail"),
    [
        ("{}", "application/json", 400, "Send a list"),
        ("[", "application/json", 400, "JSON parse error"),
        ("", "application/json", 400, "JSON parse error"),
        ("[NaN]", "application/json", 400, "NaN"),
        (b"[\xe9]", "application/json; charset=utf-8", 400, "JSON parse error"),
        ("[]", "application/json; charset=zlib", 400, "Unsupported charset"),
        (b"[\xff]", "application/json", 400, "JSON parse error"),
        ("[]", "text/csv", 415, "text/csv"),
        ("[1, 2, 3]", "application/json", 413, "at most 2"),
        ('["' + "x" * 200 + '"]', "application/json", 413, "100 bytes"),
    ],
)
def test_what_is_no_batch(
    api: APIClient, settings: Any, body: Any, content_type: str, status: int, detail: str
) -> None:
    """4xx that says what is wrong; limits on items and on bytes."""
    settings.NOTIFICATIONS_BULK_MAX_ITEMS = 2
    settings.NOTIFICATIONS_BULK_MAX_BYTES = 100
    document = problem(api.generic("POST", BULK, body, content_type), status)
    assert detail in document["detail"]
    assert not Notification.objects.exists()


@pytest.mark.parametrize(
    ("content_type", "where"), [("application/json", ""), ("application/x-ndjson", "line 2: ")]
)
def test_nested_without_end(api: APIClient, content_type: str, where: str) -> None:
    """400, whatever the reader of JSON makes of it."""
    document = problem(api.generic("POST", BULK, "[]\n" * bool(where) + "[" * 100_000, content_type), 400)
    assert document["detail"] == f"JSON parse error - {where}it is nested too deeply"


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("charset", ["latin-1", "utf-16"])
def test_in_another_charset(api: APIClient, content_type: str, charset: str) -> None:
    """The charset of the Content-Type holds, as it does for one notification."""
    text = json.dumps(GOOD | {"message": "caf\xe9"}, ensure_ascii=False)
    text = f"[{text}]" if content_type == "application/json" else f"{text}\n{text}"
    response = api.generic("POST", BULK, text.encode(charset), f"{content_type}; charset={charset}")
    assert {result["code"] for result in response.json()["results"]} == {202}
    assert set(Notification.objects.values_list("message", flat=True)) == {"caf\xe9"}


def test_a_batch_may_be_larger_than_one(api: APIClient, settings: Any) -> None:
    """Its limit of bytes is its own, not that of single requests."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 50
    assert api.post(BULK, [GOOD] * 3, "json").status_code == 202
