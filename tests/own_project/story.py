"""What the test has happen, with Django set up by `manage.py shell`."""

import json
import re
import sys

from django.contrib.admin.models import LogEntry
from django.test import Client
from django.test.utils import setup_test_environment
from django.urls import reverse
from rest_framework.test import APIClient

from notifications import services
from notifications.models import Notification
from tests.own_project.models import Person


def as_service(secret: str) -> tuple[int, int, str]:
    """The answers to a caller with this token, and what it sees of what it has sent."""
    service = APIClient()
    service.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    sent = service.post("/send-notification/you@example.com")
    seen = service.get(sent["Location"])
    return sent.status_code, seen.status_code, seen.json().get("recipient", "")


def as_operator() -> tuple[int, str]:
    """The answer to an operator who cancels, and what becomes of it."""
    notification = services.accept(recipient="you@example.com", message="hello")
    operator = Person.objects.create_user("operator@example.com", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(operator)
    url = reverse("admin:notifications_notification_act")
    question = client.post(url, {"kind": "cancel", "id": str(notification.pk)}).content.decode()
    [signed] = re.findall(r'name="signed" value="([^"]+)"', question)
    answer = client.post(url, {"signed": signed})
    assert LogEntry.objects.get().user == operator
    return answer.status_code, Notification.objects.get(pk=notification.pk).status


def main(secret: str) -> None:
    setup_test_environment()  # for the client's host
    sys.stdout.write(json.dumps([*as_service(secret), *as_operator()]))
