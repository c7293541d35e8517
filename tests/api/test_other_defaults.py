"""The API in a project whose own views have other defaults of REST framework than this repository's."""

from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.urls import include, path
from rest_framework.authentication import BasicAuthentication
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.settings import api_settings
from rest_framework.test import APIClient
from rest_framework.versioning import AcceptHeaderVersioning
from rest_framework.views import APIView, exception_handler
from uuid_utils import uuid7

from notifications.api import views
from notifications.models import Notification
from notifications.unsubscribe import Scope, token
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db

urlpatterns = [
    path("notify/", include("notifications.api.urls")),
    path("notify/", include("notifications.pages.urls")),
    path("inbox", lambda request: HttpResponse(), name="notifications"),
    path("handbook", lambda request: HttpResponse(), name="docs"),
]


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


def test_times_are_those_of_the_schema(api: APIClient, settings: Any) -> None:
    """RFC 3339, in and out, where the project's own are written and read in another way."""
    settings.REST_FRAMEWORK |= {"DATETIME_FORMAT": "%d.%m.%Y", "DATETIME_INPUT_FORMATS": ["%d.%m.%Y"]}
    due_at = "2100-01-01T00:00:00Z"
    new = {"recipient": "you@example.com", "message": "hello", "due_at": due_at}
    answer = api.post("/api/v1/notifications", new, "json")
    assert (answer.status_code, answer.json()["due_at"]) == (202, due_at)


def test_who_asks_has_no_login(client: Any, settings: Any) -> None:
    """Machines and mail programs are not sent to a page to log in; whoever must be known is told so by the API."""
    at = settings.MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1
    login_required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:at], login_required, *settings.MIDDLEWARE[at:]]
    link = f"/unsubscribe/{token(Scope('you@example.com', 'news', str(uuid7())))}"
    assert client.post(link).status_code == 200
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503  # nobody works
    assert client.get("/api/v1/docs").status_code == 401
    assert client.get("/api/nowhere").status_code == 404


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_nobody_waits_inside_a_transaction(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ATOMIC_REQUESTS no worker would see what was accepted, and the writer of SQLite would wait, too."""
    waited_inside = []
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    monkeypatch.setattr(
        views, "wait_until_settled", lambda *_: waited_inside.append(connection.in_atomic_block)
    )
    new = {"recipient": "you@example.com", "message": "hello"}
    location = api.post("/api/v1/notifications", new, "json", headers={"Prefer": "wait=1"})["Location"]
    api.get(location, headers={"Prefer": "wait=1"})
    assert waited_inside == [False, False]


@pytest.mark.urls(__name__)
def test_names_of_the_projects_own(api: APIClient, admin_client: Any, settings: Any) -> None:
    """Where a notification is, and where the page sends one, are ours, whatever is called `notifications` there.
    There is no admin among these addresses, and so no link to it."""
    location = api.post("/notify/send-notification/you@example.com")["Location"]
    assert location.startswith("/notify/api/v1/notifications/")
    assert api.get(location).status_code == 200
    bulk = api.post(
        "/notify/api/v1/notifications/bulk", [{"recipient": "you@example.com", "message": "hello"}], "json"
    )
    assert bulk.json()["results"][0]["location"].startswith("/notify/api/v1/notifications/")
    page = admin_client.get("/notify/").content.decode()
    assert 'data-api="/notify/api/v1/notifications"' in page
    assert 'href="/notify/api/v1/docs"' in page


@pytest.mark.urls(__name__)
def test_the_icon_is_looked_for_when_somebody_asks(client: Any, settings: Any) -> None:
    """Addresses are loaded before `collectstatic`, when a storage with a manifest knows no file yet."""
    settings.STATIC_URL = "elsewhere/"
    assert client.get("/notify/favicon.ico")["Location"] == "/elsewhere/notifications/icon.svg"
