"""What stands around a request, its path and its headers: read as the RFCs have it, or refused by name."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
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


@pytest.mark.parametrize("debug", [True, False])
def test_somebody_elses_host(
    client: Client, settings: Any, debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A problem document, in development too: Django's page would show strangers what the service is made of."""
    settings.DEBUG = debug
    problem(client.get("/livez", headers={"Host": "elsewhere.example"}), 400)
    assert [record.name for record in caplog.records] == ["django.security.DisallowedHost"]
    assert client.get("/livez").status_code == 200
