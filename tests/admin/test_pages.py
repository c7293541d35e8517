"""The operator's window: everything can be seen, nothing can be changed."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications import suppression, tasks
from notifications.models import BulkAction, Notification
from notifications.selection import Selection
from tests.worker import work

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]
KOLKATA = timedelta(hours=5, minutes=30)


@pytest.mark.slow
def test_the_list(admin_client: Client, accepted: Accept) -> None:
    """Found by id, by a recipient or its beginning, by status."""
    row, other = accepted(recipient="ann@example.com"), accepted(recipient="bob@example.com")
    tasks.deliver.call([str(row.pk)])
    url = reverse("admin:notifications_notification_changelist")
    for query in ({"q": "ann@"}, {"q": "ann@EXAMPLE.com"}, {"q": str(row.pk)}, {"status": "sent"}):
        page = admin_client.get(url, query).content.decode()
        assert str(row.pk) in page
        assert str(other.pk) not in page


@pytest.mark.slow
@pytest.mark.parametrize("given", ["You@MÜNCHEN.de", "You@EXAMPLE.com", "u\u0308@example.com"])
def test_what_was_given_is_found(admin_client: Client, accepted: Accept, given: str) -> None:
    """In both lists, though it is stored in another spelling; and so it is chosen for an action on all that match."""
    row, _ = accepted(recipient=given), accepted()
    (entry, _), _ = suppression.add(given), suppression.add("other@example.com")
    for name, found in (("notification", row), ("suppression", entry)):
        url = reverse(f"admin:notifications_{name}_changelist")
        page = admin_client.get(url, {"q": given})
        assert list(page.context["cl"].result_list) == [found]
    url = f"{reverse('admin:notifications_notification_changelist')}?{urlencode({'q': given})}"
    chosen = {"action": "cancel", "select_across": "1", "_selected_action": str(row.pk)}
    assert admin_client.post(url, chosen).context["sample"] == [row]


@pytest.mark.slow
def test_the_detail_shows_the_attempts_and_no_way_to_edit(admin_client: Client, accepted: Accept) -> None:
    """Read-only: no field to type in, no button to save or delete."""
    row = accepted(message="the text of it")
    tasks.deliver.call([str(row.pk)])
    url = reverse("admin:notifications_notification_change", args=[row.pk])
    page = admin_client.get(url).content.decode()
    assert "the text of it" in page
    assert "attempt 1: sent" in page
    assert 'name="_save"' not in page
    assert "deletelink" not in page
    assert admin_client.post(url, {"message": "changed"}).status_code == 403
    assert admin_client.get(reverse("admin:notifications_notification_add")).status_code == 403


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_leads_to_the_queues_own_pages(
    admin_client: Client, accepted: Accept, logged_in: Callable[[str], Client]
) -> None:
    """To its entry while that waits, to its task's result once it has run; for nobody who may not see those."""
    row = accepted()
    url = reverse("admin:notifications_notification_change", args=[row.pk])

    def leads_to(client: Client) -> list[str]:
        return re.findall(r'href="(/admin/django_q/[a-z]+/[^/"]+/change/)"', client.get(url).content.decode())

    [entry] = leads_to(admin_client)
    assert "deliver" in admin_client.get(entry).content.decode()
    work()
    [result] = leads_to(admin_client)
    assert result.startswith("/admin/django_q/success/")
    assert "deliver" in admin_client.get(result).content.decode()
    assert leads_to(logged_in("operator")) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ormq", "success", "failure", "schedule"])
def test_the_queues_own_views_stand_beside(admin_client: Client, accepted: Accept, model: str) -> None:
    """django-q2's queued, successful, failed and scheduled tasks; queued ones by their function's name."""
    accepted()
    page = admin_client.get(reverse(f"admin:django_q_{model}_changelist"))
    assert page.status_code == 200
    if model == "ormq":
        assert "notifications.tasks.deliver" in page.content.decode()


def test_nobody_looks_in_without_the_right(client: Client, django_user_model: Any) -> None:
    """Staff without the view permission see no notification."""
    django_user_model.objects.create_user("ann", password="pw", is_staff=True)
    client.login(username="ann", password="pw")
    assert client.get(reverse("admin:notifications_notification_changelist")).status_code == 403


@pytest.mark.slow
def test_what_is_scheduled_is_due_next(admin_client: Client, accepted: Accept) -> None:
    """One step for what is one moment."""
    row = accepted(due_at=timezone.now() + timedelta(hours=1))
    steps = admin_client.get(reverse("admin:notifications_notification_change", args=[row.pk])).context[
        "timeline"
    ]
    assert [(step.title, step.kind) for step in steps] == [("accepted", "done"), ("due", "next")]


def test_an_entry_of_the_list_leads_to_what_brought_it(admin_client: Client, accepted: Accept) -> None:
    """From the suppression list to the notification that bounced."""
    row = accepted()
    entry, _ = suppression.add("you@example.com", notification=row.pk)
    page = admin_client.get(
        reverse("admin:notifications_suppression_change", args=[entry.pk])
    ).content.decode()
    assert reverse("admin:notifications_notification_change", args=[row.pk]) in page


def test_how_one_gets_a_token(admin_client: Client) -> None:
    """The page has no button for it, and says why."""
    assert (
        "manage.py token"
        in admin_client.get(reverse("admin:notifications_token_changelist")).content.decode()
    )


@pytest.mark.parametrize("id", ["²", "9" * 5000, "x"])
def test_no_such_bulk_action(admin_client: Client, id: str) -> None:
    """Whatever stands in its place, as on Django's own pages."""
    assert admin_client.get(f"/admin/notifications/bulkaction/{id}/change/").status_code == 302


def test_a_filter_with_a_nul(admin_client: Client) -> None:
    """PostgreSQL knows no such text, so nothing is looked up by it."""
    assert admin_client.get("/admin/notifications/suppression/?reason=a%00").status_code == 400


@pytest.mark.slow
def test_one_time_zone(admin_client: Client, accepted: Accept, settings: Any) -> None:
    """All times of the pages are those of `TIME_ZONE`: of the chart, of a selection, and of a bulk action's name."""
    settings.TIME_ZONE = "Asia/Kolkata"
    row = accepted()
    tasks.deliver.call([str(row.pk)])
    [ended] = row.attempts.values_list("finished_at", flat=True)
    page = admin_client.get(reverse("admin:notifications_overview_changelist")).content.decode()
    assert f"<title>{ended + KOLKATA:%H:%M}: 1 sent</title>" in page
    moment = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)
    assert "2026-03-30 04:00" in str(Selection(since=moment.isoformat()))
    assert "2026-03-30 04:00:00" in str(BulkAction(created_at=moment, kind="resend"))


@pytest.mark.slow
def test_every_search_has_a_label(admin_client: Client) -> None:
    """One that can be seen."""
    for page in ("notification", "suppression"):
        shown = admin_client.get(f"/admin/notifications/{page}/").content.decode()
        assert '<label for="searchbar">Search</label>' in shown
