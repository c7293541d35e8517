"""Whatever comes in: an answer that says what is wrong, or a notification that is right. Never a 500."""

import json
import re
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from notifications.models import Notification

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

LIST = "/api/v1/notifications"
SEND = "/send-notification/you@example.com"
SUPPRESSIONS = "/api/v1/suppressions"
whatever = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
# Surrogates cannot be sent; everything else can.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
HEADERS = [
    "Idempotency-Key",
    "X-Request-ID",
    "If-None-Match",
    "Accept",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Cookie",
]
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80)


def stored(response: Any) -> Notification | None:
    """What was accepted; None if the answer is a problem document and nothing was stored."""
    assert response.status_code < 500
    if response.status_code in {200, 202}:
        return Notification.objects.get()
    assert response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content)["status"] == response.status_code
    assert not Notification.objects.exists()
    return None


@whatever
@given(address=TEXT | st.emails() | st.builds("{}@{}".format, TEXT, TEXT))
@example("a@example.com\n")
@example("a@example.com, b@example.com")
@example('"a b"@example.com')
@example("you@b\u00fccher.example")
@example("a@example.com\u2028b")
def test_addresses(api: APIClient, address: str) -> None:
    """What is stored is one address of one line within the lengths of RFC 5321; the rest is refused by its reason,
    which does not repeat it."""
    with transaction.atomic():
        response = api.post(LIST, {"recipient": address, "message": "hello"}, "json")
        notification = stored(response)
        if notification:
            local, _, domain = notification.recipient.rpartition("@")
            assert 1 <= len(local.encode()) <= 64
            assert len(notification.recipient) <= 254
            assert re.fullmatch(r"[a-z0-9.-]+\.[a-z0-9-]+", domain)
            assert not re.search(r"[\x00-\x1f\x7f]", notification.recipient)
        elif len(address) > 8:
            assert address not in json.loads(response.content)["detail"]
        transaction.set_rollback(True)


@whatever
@given(text=TEXT, subject=TEXT)
def test_texts(api: APIClient, text: str, subject: str) -> None:
    """A text is kept as it came, or refused."""
    with transaction.atomic():
        fields = {"recipient": "you@example.com", "message": text, "subject": subject}
        notification = stored(api.post(LIST, fields, "json"))
        if notification:
            assert notification.message == text
            assert notification.subject == subject.strip()
            assert "\n" not in notification.subject
        transaction.set_rollback(True)


@whatever
@given(body=JSON)
def test_bodies(api: APIClient, body: Any) -> None:
    """Any JSON value, to any call that takes one."""
    bulk = f"{LIST}/bulk"
    for path in (LIST, SEND, bulk, f"{bulk}?atomic=true", SUPPRESSIONS):
        with transaction.atomic():
            response = api.generic("POST", path, json.dumps(body), "application/json")
            assert response.status_code in {200, 201, 202, 400, 413}
            transaction.set_rollback(True)


@whatever
@given(headers=st.fixed_dictionaries({}, optional=dict.fromkeys(HEADERS, HEADER)))
def test_headers(api: APIClient, headers: dict[str, str]) -> None:
    """Whatever they say, the answer has a request id that could not forge a line of a log."""
    with transaction.atomic():
        for method in ("get", "post"):
            response = getattr(api, method)(LIST, headers=headers)
            assert response.status_code in {200, 304, 400}
            assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", response["X-Request-ID"])
        transaction.set_rollback(True)


@whatever
@given(header=HEADER)
def test_credentials(client: Any, settings: Any, header: str) -> None:
    """No Authorization that nobody was given opens anything."""
    settings.NOTIFICATIONS_RATES = {}
    with transaction.atomic():
        assert client.get(LIST, headers={"Authorization": header}).status_code == 401
        assert client.get(LIST, headers={"Authorization": f"Bearer {header}"}).status_code == 401
        transaction.set_rollback(True)
