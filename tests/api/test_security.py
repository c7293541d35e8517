"""The house rules that docs/security.md lists: headers, what may be set, and that each row of it has its test."""

import os
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from notifications.models import Notification
from tests.api.conftest import problem
from tests.processes import ROOT, manage

LIST = "/api/v1/notifications"
NEW = {"recipient": "you@example.com", "message": "hello"}


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/livez", LIST, "/api/v1/docs", "/admin/", "/admin/login/", "/nowhere"])
def test_headers(api: APIClient, admin_client: Any, path: str) -> None:
    """Every answer: a content security policy without inline scripts, HSTS, nosniff, in nobody's frame."""
    client = admin_client if path.startswith("/admin") else api
    response = client.get(path, secure=True)
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"(script-src|default-src)[^;]*unsafe", policy)
    assert response["Strict-Transport-Security"].startswith("max-age=31536000")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"


@pytest.mark.django_db
def test_answers_are_not_kept(api: APIClient) -> None:
    """No shared cache keeps an answer: no-store, or private for what may be asked again by its ETag."""
    location = api.post(LIST, NEW, "json")["Location"]
    assert api.get(LIST)["Cache-Control"] == "no-store"
    assert api.get(location)["Cache-Control"] == "private, no-cache"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "field", ["id", "status", "owner", "attempt_count", "created_at", "task_id", "request_id", "resend_of"]
)
def test_what_is_not_the_callers_to_set(api: APIClient, field: str) -> None:
    """A field that is ours is refused, not passed over."""
    problem(api.post(LIST, NEW | {field: "1"}, "json"), 400)
    assert not Notification.objects.exists()


@pytest.mark.django_db
def test_what_is_not_the_callers_to_see(api: APIClient) -> None:
    """Owner, request id, task and lease stay inside."""
    document = api.post(LIST, NEW, "json").json()
    assert not document.keys() & {"owner", "request_id", "task_id", "lease_expires_at", "attempt_count"}


@pytest.mark.django_db
def test_a_method_that_is_not_there(api: APIClient) -> None:
    """405 that says what there is: nothing is changed by PUT, PATCH or DELETE."""
    location = api.post(LIST, NEW, "json")["Location"]
    for method in ("put", "patch", "delete"):
        response = getattr(api, method)(location)
        problem(response, 405)
        assert response["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.process
def test_check_deploy_is_clean() -> None:
    """Django's own list for production finds nothing, with no more than a key and a host."""
    env = {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "ALLOWED_HOSTS": "example.com",
        "DEBUG": "false",
        "DATABASE_URL": os.environ.get("DATABASE_URL", "sqlite:///db.sqlite3"),
        "DJANGO_SETTINGS_MODULE": "project.settings",
    }
    done = manage("check", "--deploy", "--fail-level", "WARNING", env=env)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_each_row_of_the_document_has_its_test() -> None:
    """docs/security.md names tests that exist."""
    text = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(\w+\.py)::(?:\w+::)?(\w+)`", text)
    assert len(named) >= 15
    for file, name in named:
        [path] = ROOT.glob(f"tests/**/{file}") if file != "conftest.py" else [Path()]
        assert re.search(rf"def {name}\(", path.read_text()), f"{file}::{name}"
