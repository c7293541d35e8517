"""What stands around a request, its path and its headers: read as the RFCs have it, or refused by name."""

from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from tests.api.conftest import problem

pytestmark = pytest.mark.django_db

LIST = "/api/v1/notifications"
SEND = "/send-notification/you@example.com"
NEW = {"recipient": "you@example.com", "message": "hello"}


def test_an_id_in_capitals(api: APIClient) -> None:
    """RFC 9562, 4: either case where it is read."""
    location = api.post(LIST, NEW, "json")["Location"]
    place, _, id = location.rpartition("/")
    assert api.get(f"{place}/{id.upper()}").json()["id"] == id
    assert api.post(f"{place}/{id.upper()}/cancel").json()["status"] == "cancelled"
    problem(api.get(f"{place}/{str(uuid4()).upper()}"), 404)
