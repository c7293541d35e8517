"""Callers of the API: each a user with a token and the rights a test gives it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient

from notifications.models import Token

ALL = ["add", "view", "cancel", "resend"]
OTHER = {
    "view_all": "view_all_notifications",
    "suppress": "manage_suppressions",
    "recipients": "view_recipient",
}


@pytest.fixture
def caller(django_user_model: Any) -> Callable[..., APIClient]:
    """A client with a real token: `caller("ann", "add", "view")`. Without rights named it has all of its own."""

    def make(name: str = "ann", *rights: str) -> APIClient:
        user = django_user_model.objects.create_user(name)
        codenames = [OTHER.get(right, f"{right}_notification") for right in rights or ALL]
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        _, secret = Token.objects.issue(user)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        client.user = user
        return client

    return make


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem document of an answer, which must be one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert document["status"] == status
    assert document.keys() >= {"type", "title", "detail", "instance"}
    return document
