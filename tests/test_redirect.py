"""A copy of the service writes to nobody but those it may."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.checks import run_checks

from notifications import tasks
from notifications.exceptions import DeliveryError
from notifications.models import Notification, Outcome, Status
from notifications.redirect import NOT_ALLOWED, Redirect
from tests import recording_channel
from tests.recording_channel import RecordingChannel

Accept = Callable[..., Notification]
CATCH = "catch@example.org"


@pytest.mark.parametrize(
    ("to", "allowed", "recipient", "real"),
    [
        ("", [], "a@example.com", "a@example.com"),
        (CATCH, [], "a@example.com", CATCH),
        ("", ["a@example.com"], "A@example.com", "A@example.com"),
        ("", ["a@example.com"], "b@example.com", None),
        ("", ["@Example.com"], "b@example.com", "b@example.com"),
        ("", ["@example.com"], "b@sub.example.com", None),
        ("", ["@example.com"], "b@notexample.com", None),
        (CATCH, ["@example.com"], "b@example.com", "b@example.com"),
        (CATCH, ["@example.com"], "b@example.net", CATCH),
    ],
)
def test_the_rule(to: str, allowed: list[str], recipient: str, real: str | None) -> None:
    """Allowed ones get their own; of the rest one address gets all, or nobody."""
    assert Redirect.from_settings(to, allowed).real(recipient) == real


@pytest.fixture
def addressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordingChannel, "suppressible", True)


def deliver(row: Notification, task: Any = tasks.deliver) -> None:
    task.call([str(row.pk)])
    row.refresh_from_db()


@pytest.mark.django_db
@pytest.mark.parametrize("task", [tasks.deliver, tasks.deliver_alone])
def test_redirected(addressed: None, accepted: Accept, settings: Any, task: Any) -> None:
    """Whatever brings it: the attempt says who really got it, the notification who should have."""
    settings.NOTIFICATIONS_REDIRECT_TO = CATCH
    row = accepted(recipient="ann@example.com")
    deliver(row, task)
    (message,) = recording_channel.sent()
    assert (message.recipient, message.meant_for) == (CATCH, "ann@example.com")
    assert (row.recipient, row.status, row.attempts.get().sent_to) == ("ann@example.com", "sent", CATCH)


@pytest.mark.django_db
def test_not_allowed(addressed: None, accepted: Accept, settings: Any) -> None:
    """It ends as cancelled with the reason; nothing went out, and those beside it did."""
    settings.NOTIFICATIONS_ALLOWED_RECIPIENTS = ["@example.com"]
    row, other = accepted(recipient="ann@example.net"), accepted(recipient="ann@example.com")
    tasks.deliver.call([str(row.pk), str(other.pk)])
    row.refresh_from_db()
    other.refresh_from_db()
    assert [message.recipient for message in recording_channel.sent()] == ["ann@example.com"]
    assert (row.status, row.reason, row.finished_at is not None) == (Status.CANCELLED, NOT_ALLOWED, True)
    assert (row.attempts.get().outcome, row.next_attempt_at) == (Outcome.CANCELLED, None)
    assert (other.status, other.reason, other.attempts.get().sent_to) == (Status.SENT, "", "")


@pytest.mark.django_db
def test_the_log_is_no_address(accepted: Accept, settings: Any) -> None:
    """A channel that writes to no address is as it was."""
    settings.NOTIFICATIONS_ALLOWED_RECIPIENTS = [CATCH]
    row = accepted()
    deliver(row)
    assert (row.status, row.attempts.get().sent_to) == (Status.SENT, "")


@pytest.mark.django_db
def test_a_bounce_is_the_other_addresss(addressed: None, accepted: Accept, settings: Any) -> None:
    """What the catching address answers says nothing of the recipient."""
    settings.NOTIFICATIONS_REDIRECT_TO = CATCH
    row = accepted(recipient="ann@example.com")

    def bounce(message: Any) -> None:
        raise DeliveryError("nobody here", permanent=True, bounced=True)

    recording_channel.behaviours[CATCH] = bounce
    deliver(row)
    assert (row.status, row.attempts.get().sent_to) == (Status.FAILED, CATCH)


@pytest.mark.parametrize(
    ("name", "value"),
    [("NOTIFICATIONS_REDIRECT_TO", "@example.com"), ("NOTIFICATIONS_ALLOWED_RECIPIENTS", ["example.com"])],
)
def test_nonsense_is_refused(settings: Any, name: str, value: Any) -> None:
    """At start, not when the first one goes to its real recipient."""
    setattr(settings, name, value)
    assert [message.id for message in run_checks(tags=["notifications"])] == ["notifications.E016"]


def test_production_is_warned(settings: Any) -> None:
    """`check --deploy` says that nobody gets anything; a plain start does not."""
    settings.NOTIFICATIONS_REDIRECT_TO = CATCH
    assert run_checks(tags=["notifications"]) == []
    found = run_checks(tags=["notifications"], include_deployment_checks=True)
    assert "notifications.W017" in [message.id for message in found]
