"""Actions in the admin: asked first, allowed or not, written down."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from notifications import bulk, services, tasks
from notifications.admin import NotificationAdmin, acting
from notifications.exceptions import DeliveryError
from notifications.models import BulkAction, Notification, Status
from tests import recording_channel

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]
LoggedIn = Callable[[str], Client]


def act(client: Client, **data: Any) -> Any:
    return client.post(reverse("admin:notifications_notification_act"), data)


def ask_in_list(client: Client, query: str = "", **data: Any) -> Any:
    return client.post(f"{reverse('admin:notifications_notification_changelist')}{query}", data)


@pytest.fixture
def failed(accepted: Accept) -> list[Notification]:
    def fail(message: recording_channel.Message) -> None:
        raise DeliveryError("no such box", permanent=True, code="550")

    recording_channel.behaviours["gone@example.com"] = fail
    rows = [accepted(recipient="gone@example.com") for _ in range(3)]
    tasks.deliver.call([str(row.pk) for row in rows])
    return rows


@pytest.mark.slow
def test_one(logged_in: LoggedIn, accepted: Accept) -> None:
    """The question changes nothing; the answer does it at once, and it is in the notification's history."""
    row = accepted()
    client = logged_in("operator")
    question = act(client, kind="cancel", id=row.pk)
    assert question.context["count"].number == 1
    row.refresh_from_db()
    assert row.status == Status.QUEUED
    [signed] = re.findall(r'name="signed" value="([^"]+)"', question.content.decode())
    answer = act(client, signed=signed)
    assert answer.url.endswith(f"{row.pk}/change/")
    row.refresh_from_db()
    assert row.status == Status.CANCELLED
    assert LogEntry.objects.get().object_id == str(row.pk)


@pytest.mark.slow
def test_a_question_is_answered_soon_or_not_at_all(
    logged_in: LoggedIn, accepted: Accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that lay open over night asks again."""
    row = accepted()
    client = logged_in("operator")
    question = act(client, kind="cancel", id=row.pk)
    monkeypatch.setattr(acting, "MAX_AGE", -1)
    assert act(client, signed=question.context["signed"]).status_code == 400
    assert Notification.objects.get().status == Status.QUEUED


@pytest.mark.slow
def test_what_would_be_refused_now(
    logged_in: LoggedIn, failed: list[Notification], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the field. What the channel says of it may name the recipient, so that is not shown."""

    def refuse(self: Any, recipient: str) -> str:
        raise ValidationError(f"{recipient} has moved away.")

    client = logged_in("operator")
    question = act(client, kind="resend", id=failed[0].pk)
    monkeypatch.setattr(recording_channel.RecordingChannel, "clean_recipient", refuse)
    page = client.get(act(client, signed=question.context["signed"]).url).content.decode()
    assert "Not done: recipient would no longer be accepted." in page
    assert "moved away" not in page


@pytest.mark.slow
def test_resend_one_leads_to_the_new_one(logged_in: LoggedIn, failed: list[Notification]) -> None:
    """And it belongs to whom the first belonged to."""
    client = logged_in("operator")
    answer = act(client, signed=act(client, kind="resend", id=failed[0].pk).context["signed"])
    new = Notification.objects.get(resend_of=failed[0].pk)
    assert answer.url.endswith(f"{new.pk}/change/")


@pytest.mark.slow
def test_a_question_is_answered_once(logged_in: LoggedIn, failed: list[Notification]) -> None:
    """A button that is pressed twice, and a page that was gone back to. Another question may be answered."""
    client = logged_in("operator")
    one = act(client, kind="resend", id=failed[0].pk).context["signed"]
    ids = [str(row.pk) for row in failed[1:]]
    two = ask_in_list(client, action="resend", _selected_action=ids).context["signed"]
    for _ in range(2):
        answer = act(client, signed=one)
        act(client, signed=two)
    assert "Not done. It was resent meanwhile, or has changed." in client.get(answer.url).content.decode()
    for action in BulkAction.objects.order_by("pk"):
        bulk.work.call(action.pk)
    assert list(BulkAction.objects.order_by("pk").values_list("done", flat=True)) == [2, 0]
    assert Notification.objects.exclude(resend_of=None).count() == 3
    act(client, signed=act(client, kind="resend", id=failed[0].pk).context["signed"])
    assert Notification.objects.filter(resend_of=failed[0].pk).count() == 2


@pytest.mark.slow
def test_too_late(logged_in: LoggedIn, accepted: Accept) -> None:
    """What has changed between question and answer is left, and said."""
    row = accepted()
    client = logged_in("operator")
    question = act(client, kind="cancel", id=row.pk)
    tasks.deliver.call([str(row.pk)])
    page = client.get(act(client, signed=question.context["signed"]).url)
    assert "Not done" in page.content.decode()
    assert LogEntry.objects.count() == 0


@pytest.mark.slow
def test_selected(logged_in: LoggedIn, failed: list[Notification]) -> None:
    """Those that were ticked, in the background."""
    client = logged_in("operator")
    ids = [str(row.pk) for row in failed[:2]]
    question = ask_in_list(client, action="resend", _selected_action=ids)
    assert question.context["count"].number == 2
    answer = act(client, signed=question.context["signed"])
    action = BulkAction.objects.get()
    assert answer.url == reverse("admin:notifications_bulkaction_change", args=[action.pk])
    assert LogEntry.objects.get().object_id == str(action.pk)
    assert "Waiting for a worker" in client.get(answer.url).content.decode()
    bulk.work.call(action.pk)
    assert set(Notification.objects.exclude(resend_of=None).values_list("resend_of", flat=True)) == {
        row.pk for row in failed[:2]
    }
    fragment = client.get(answer.url, {"fragment": ""}).content.decode()
    assert "Finished: 2 done" in fragment
    assert "<html" not in fragment


@pytest.mark.slow
def test_all_that_match(logged_in: LoggedIn, failed: list[Notification], accepted: Accept) -> None:
    """What the list's filters show, and what the action is for: what was sent is not sent again unasked."""
    sent = accepted()
    tasks.deliver.call([str(sent.pk)])
    client = logged_in("operator")
    data = {"action": "resend", "select_across": "1", "_selected_action": [str(failed[0].pk)]}
    assert ask_in_list(client, **data).context["count"].number == 3
    assert ask_in_list(client, "?status=failed&channel=log", **data).context["count"].number == 0
    assert ask_in_list(client, "?q=gone@example.com", **data).context["count"].number == 3
    assert ask_in_list(client, "?q=ann@example.com", **data).context["count"].number == 0
    assert ask_in_list(client, "?status=sent", **data).context["count"].number == 1
    failed[0].refresh_from_db()
    services.resend(failed[0])
    assert ask_in_list(client, "?status=failed", **data).context["count"].number == 2


@pytest.mark.slow
def test_all_that_begin_alike(
    admin_client: Client, failed: list[Notification], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are shown, but are not offered as one choice, which could not be acted on."""
    monkeypatch.setattr(NotificationAdmin, "list_per_page", 2)
    for text, offered in (
        ("", True),
        ("gone@example.com", True),
        ("gone", False),
        (str(failed[0].pk), False),
    ):
        page = admin_client.get(reverse("admin:notifications_notification_changelist"), {"q": text})
        assert page.context["cl"].result_list
        assert ("Select all that match" in page.content.decode()) == offered


@pytest.mark.slow
def test_all_that_failed_alike(logged_in: LoggedIn, failed: list[Notification]) -> None:
    """From the overview's reasons, by one attempt of them."""
    attempt = failed[0].attempts.get()
    Notification.objects.filter(pk=failed[1].pk).update(channel="waiting")
    Notification.objects.filter(pk=failed[2].pk).update(status=Status.CANCELLED)  # before its next attempt
    client = logged_in("operator")
    assert act(client, kind="resend", like=attempt.pk).context["count"].number == 1
    Notification.objects.update(channel="recording", status=Status.FAILED)
    question = act(client, kind="resend", like=attempt.pk)
    assert question.context["count"].number == 3
    assert "550" in question.content.decode()


@pytest.mark.slow
def test_what_its_status_allows(logged_in: LoggedIn, accepted: Accept, failed: list[Notification]) -> None:
    """The page of one has a button for what can be done with it, and no other."""
    client = logged_in("operator")

    def buttons(row: Notification) -> set[str]:
        page = client.get(reverse("admin:notifications_notification_change", args=[row.pk])).content.decode()
        assert 'name="action"' not in page  # Django's own way to act on one, which knows no status
        return set(re.findall(r'name="kind" value="(\w+)"', page))

    assert buttons(accepted()) == {"cancel"}
    assert buttons(failed[0]) == {"resend"}
    Notification.objects.filter(pk=failed[0].pk).update(status=Status.UNKNOWN)
    assert buttons(failed[0]) == {"confirm", "send_again"}


def test_who_may_not_look_may_not_act(client: Client, accepted: Accept, django_user_model: Any) -> None:
    """The question shows what it asks about."""
    user = django_user_model.objects.create_user("blind", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="cancel_notification"))
    client.force_login(user)
    assert act(client, kind="cancel", id=accepted().pk).status_code == 403


@pytest.mark.slow
def test_a_viewer_may_not(logged_in: LoggedIn, accepted: Accept) -> None:
    """No button, no action, and no way around them."""
    row = accepted()
    viewer, operator = logged_in("viewer"), logged_in("operator")
    signed = act(operator, kind="cancel", id=row.pk).context["signed"]
    assert act(viewer, kind="cancel", id=row.pk).status_code == 403
    assert act(viewer, signed=signed).status_code == 403
    page = viewer.get(reverse("admin:notifications_notification_change", args=[row.pk])).content.decode()
    assert "Cancel…" not in page
    assert (
        "Cancel…"
        in operator.get(reverse("admin:notifications_notification_change", args=[row.pk])).content.decode()
    )
    assert (
        'name="action"'
        not in viewer.get(reverse("admin:notifications_notification_changelist")).content.decode()
    )


@pytest.mark.parametrize(
    "data",
    [{"signed": "forged"}, {"kind": "erase", "id": "1"}, {"kind": "cancel"}, {"kind": "cancel", "id": "x"}],
)
def test_nonsense_is_refused(logged_in: LoggedIn, data: dict[str, str]) -> None:
    """What was not asked is not done."""
    assert act(logged_in("operator"), **data).status_code == 400


@pytest.mark.slow
def test_set_going_again(logged_in: LoggedIn, accepted: Accept, admin_user: Any) -> None:
    """An action whose workers are gone goes on by a button of who may do it."""
    from notifications.models import Kind
    from notifications.selection import Selection

    row = accepted()
    action = bulk.start(Kind.CANCEL, Selection(ids=(str(row.pk),)), admin_user)
    url = reverse("admin:notifications_bulkaction_go_on", args=[action.pk])
    assert logged_in("viewer").post(url).status_code == 403
    assert logged_in("operator").post(url).status_code == 302


def test_no_id_of_an_action(admin_client: Any) -> None:
    """Django's own answer for what is not there, whatever it looks like: this one is a digit, and no number."""
    answer = admin_client.get(reverse("admin:notifications_bulkaction_change", args=["²"]))
    assert (answer.status_code, answer.url) == (302, reverse("admin:index"))
