"""The API in a project whose own views have other defaults of REST framework than this repository's."""

from typing import Any

import pytest
from rest_framework.authentication import BasicAuthentication
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.settings import api_settings
from rest_framework.test import APIClient
from rest_framework.versioning import AcceptHeaderVersioning
from rest_framework.views import APIView, exception_handler

from notifications.models import Notification
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def own_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST framework reads its settings into `APIView` while that is imported."""
    monkeypatch.setattr(APIView, "authentication_classes", [BasicAuthentication])
    monkeypatch.setattr(APIView, "permission_classes", [AllowAny])
    monkeypatch.setattr(APIView, "renderer_classes", [BrowsableAPIRenderer])
    monkeypatch.setattr(APIView, "content_negotiation_class", DefaultContentNegotiation)
    monkeypatch.setattr(APIView, "versioning_class", AcceptHeaderVersioning)
    monkeypatch.setattr(APIView, "get_exception_handler", lambda view: exception_handler)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/send-notification/you@example.com"),
        ("get", "/api/v1/notifications"),
        ("post", "/api/v1/notifications"),
        ("post", "/api/v1/notifications/bulk"),
        ("get", "/api/v1/suppressions"),
        ("get", "/api/v1/schema"),
        ("get", "/api/v1/docs"),
        ("get", "/metrics"),
    ],
)
def test_strangers_stay_outside(own_defaults: None, method: str, path: str) -> None:
    """Closed, by a problem document and our challenge, where the project's own views let everybody in."""
    response = getattr(APIClient(), method)(
        path, {"recipient": "you@example.com", "message": "hello"}, format="json"
    )
    problem(response, 401)
    assert response["WWW-Authenticate"] == "Bearer"
    assert not Notification.objects.exists()


def test_callers_get_what_is_promised(own_defaults: None, api: APIClient) -> None:
    """JSON whatever Accept says, and a problem document for an error that is ours alone."""
    response = api.get("/api/v1/notifications", headers={"Accept": "text/html; version=7"})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    problem(api.post("/send-notification/nobody"), 400)


def test_a_header_names_no_address_that_is_counted(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Without NUM_PROXIES REST framework takes all of X-Forwarded-For for who asks: a new one for each request."""
    monkeypatch.setattr(api_settings, "NUM_PROXIES", None)
    settings.NOTIFICATIONS_RATES = {"address": "1/hour"}
    codes = [
        APIClient().get("/api/v1/notifications", headers={"X-Forwarded-For": address}).status_code
        for address in ("192.0.2.1", "192.0.2.2")
    ]
    assert codes == [401, 429]
