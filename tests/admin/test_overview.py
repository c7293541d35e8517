"""The overview's page: who may see it, what it says in words, what it costs."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from notifications import tasks
from notifications.admin import charts
from notifications.figures import Minute
from notifications.models import Heartbeat, Notification

pytestmark = pytest.mark.django_db
URL = "admin:notifications_overview_changelist"


@pytest.mark.slow
def test_the_page(logged_in: Callable[[str], Client], accepted: Callable[..., Notification]) -> None:
    """A sentence, a lamp with a name, drawings with a text; nothing inline, for the policy forbids it."""
    tasks.deliver.call([str(accepted().pk)])
    Heartbeat.objects.create(cluster="host:1 default")
    answer = logged_in("viewer").get(reverse(URL))
    assert reverse(URL) == "/admin/notifications/overview/"
    page = answer.content.decode()
    assert "Healthy: nothing waits, 1 worker, 100 % sent in the last hour" in page
    assert 'aria-label="healthy"' in page
    assert "1 sent" in page
    assert " style=" not in page[page.index('id="content-main"') :]
    assert "Resend all" not in page


@pytest.mark.slow
def test_the_fragment(admin_client: Client) -> None:
    """Only what changes, and not to be kept."""
    answer = admin_client.get(reverse(URL), {"fragment": ""})
    assert "<html" not in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]


def test_nobody_looks_in_without_the_right(client: Client, django_user_model: Any) -> None:
    """Staff without the view permission see neither it nor what was done with many."""
    client.force_login(django_user_model.objects.create_user("ann", is_staff=True))
    assert client.get(reverse(URL)).status_code == 403
    assert client.get(reverse("admin:notifications_bulkaction_changelist")).status_code == 403


@pytest.mark.slow
def test_it_is_found(admin_client: Client) -> None:
    """From the front page, and from the list."""
    for name in ("admin:index", "admin:notifications_notification_changelist"):
        assert f'href="{reverse(URL)}"' in admin_client.get(reverse(name)).content.decode()


def test_what_it_costs(admin_client: Client, django_assert_num_queries: Any) -> None:
    """Session and user, and the snapshot, which on PostgreSQL asks for the time."""
    with django_assert_num_queries(14 if connection.vendor == "postgresql" else 13):
        admin_client.get(reverse(URL), {"fragment": ""})


def test_one_failure_among_many_is_to_be_seen() -> None:
    """A bar is never so low that it vanishes, and never leaves its drawing by more than that."""
    from django.utils import timezone

    drawn = charts.minutes([Minute(timezone.now(), sent=10_000, failed=1)])
    heights = {bar.kind: bar.height for bar in drawn.bars}
    assert heights["failed"] == 2
    assert all(bar.y >= -2 for bar in drawn.bars)
