"""A message that may have arrived: what becomes of it, and who settles it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from notifications import bulk, services, tasks
from notifications.exceptions import DeliveryError, InvalidStatus
from notifications.models import BulkAction, Notification, Outcome, Status
from notifications.statements import claim
from tests import recording_channel
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]
URL = "/api/v1/notifications"


@pytest.fixture
def holding(settings: Any) -> None:
    channel = {**settings.CHANNELS["recording"], "UNKNOWN": "hold"}
    settings.CHANNELS = {**settings.CHANNELS, "recording": channel}


@pytest.fixture
def unknown(holding: None, accepted: Accept) -> Notification:
    row = accepted()
    broken(row)
    assert row.status == Status.UNKNOWN
    return row


def broken(row: Notification) -> None:
    """Deliver it over a connection that breaks after the last byte."""

    def behaviour(message: Any) -> None:
        raise DeliveryError("broke", unknown=True, code="354", response="go on", phase="data")

    recording_channel.behaviours[row.recipient] = behaviour
    tasks.deliver.call([str(row.pk)])
    recording_channel.forget()
    row.refresh_from_db()


def test_retry_takes_the_risk(accepted: Accept) -> None:
    """By default it is tried again; the attempt says that it may have arrived, and what the other side said."""
    row = accepted()
    broken(row)
    attempt = row.attempts.get()
    assert (row.status, attempt.outcome, row.finished_at) == (Status.QUEUED, Outcome.UNKNOWN, None)
    assert (attempt.code, attempt.response, attempt.phase) == ("354", "go on", "data")
    assert attempt.duration >= 0


def test_hold_waits_for_somebody(unknown: Notification) -> None:
    """Nothing is tried again, and it is not over: no time, no end, and the sweep leaves it alone."""
    assert (unknown.next_attempt_at, unknown.finished_at, unknown.is_final) == (None, None, False)
    assert unknown.attempts.get().outcome == Outcome.UNKNOWN
    assert not services.recover()


def test_a_lost_one_is_held_too(holding: None, accepted: Accept) -> None:
    """A worker that died while sending leaves the same question."""
    row = accepted()
    claim([str(row.pk)], timedelta(seconds=30), "default")
    Notification.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=10))
    services.recover()
    row.refresh_from_db()
    assert (row.status, row.finished_at, row.attempts.get().outcome) == ("unknown", None, Outcome.LOST)


def test_confirm(unknown: Notification) -> None:
    """It arrived: sent, with the time of the decision. Once."""
    services.confirm(unknown)
    assert (unknown.status, unknown.finished_at is not None) == (Status.SENT, True)
    with pytest.raises(InvalidStatus):
        services.confirm(unknown)


def test_send_again(unknown: Notification) -> None:
    """The same notification, its next attempt, by a new entry of the queue. Once."""
    services.send_again(unknown)
    assert unknown.status == Status.QUEUED
    assert tasks.deliver.get_result(unknown.task_id).args == [[str(unknown.pk)]]
    task_id = unknown.task_id
    with pytest.raises(InvalidStatus):
        services.send_again(unknown)
    assert Notification.objects.get().task_id == task_id
    tasks.deliver.call([str(unknown.pk)])
    unknown.refresh_from_db()
    assert (unknown.status, unknown.attempt_count) == (Status.SENT, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "code", "status"), [("confirm", 200, "sent"), ("send-again", 202, "queued")]
)
def test_by_the_api(
    unknown: Notification, api: APIClient, django_user_model: Any, call: str, code: int, status: str
) -> None:
    """Who may resend may settle; a second time is a conflict, and so is cancelling."""
    assert api.get(URL, {"status": "unknown"}).json()["results"][0]["id"] == str(unknown.pk)
    before = api.get(f"{URL}/{unknown.pk}", headers={"Prefer": "wait=60"})
    assert (before["Retry-After"], before.json()["status"]) == ("3600", "unknown")
    problem(api.post(f"{URL}/{unknown.pk}/cancel"), 409)
    problem(api.post(f"{URL}/{unknown.pk}/resend"), 409)
    stranger = APIClient()
    stranger.force_authenticate(django_user_model.objects.create_user("bob"))
    problem(stranger.post(f"{URL}/{unknown.pk}/{call}"), 403)
    answer = api.post(f"{URL}/{unknown.pk}/{call}")
    assert (answer.status_code, answer.json()["status"]) == (code, status)
    assert api.get(f"{URL}/{unknown.pk}")["ETag"] != before["ETag"]
    problem(api.post(f"{URL}/{unknown.pk}/{call}"), 409)


@pytest.mark.slow
@pytest.mark.parametrize(("action", "status"), [("confirm", Status.SENT), ("send_again", Status.QUEUED)])
def test_in_the_admin(
    unknown: Notification, accepted: Accept, admin_client: Client, action: str, status: str
) -> None:
    """Those that are unknown are settled; what is not is left alone, and counted."""
    other = accepted()
    ids = (str(unknown.pk), str(other.pk))
    admin_client.post(reverse("admin:notifications_notification_act"), {"kind": action, "id": str(other.pk)})
    question = admin_client.post(
        reverse("admin:notifications_notification_changelist"), {"action": action, "_selected_action": ids}
    )
    assert question.context["count"].number == 1
    admin_client.post(reverse("admin:notifications_notification_act"), {"signed": question.context["signed"]})
    bulk.work.call(BulkAction.objects.get().pk)
    unknown.refresh_from_db()
    other.refresh_from_db()
    assert (unknown.status, other.status) == (status, Status.QUEUED)
    done = BulkAction.objects.get()
    assert (done.done, done.failed) == (1, 1)
