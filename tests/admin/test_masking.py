"""Recipients: who sees them, who may ask for one, and what is written down."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from notifications import suppression, tasks
from notifications.exceptions import DeliveryError
from notifications.masking import masked, without_addresses
from notifications.models import Notification, Suppression
from tests import recording_channel
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db
Accept = Callable[..., Notification]
LoggedIn = Callable[[str], Client]
LIST = "admin:notifications_notification_changelist"


@pytest.mark.parametrize(
    ("recipient", "shown"),
    [
        ("you@example.com", "y…@e…le.com"),
        ("a@b.de", "a…@b….de"),
        ("you@mail.example.co.uk", "y…@m…co.uk"),
        ("root@localhost", "r…@l…st"),
        ("a@bcd.de", "a…@b….de"),
        ("https://example.com/hook", "h…ok"),
        ("+4912345", "+…45"),
        ("", "…"),
    ],
)
def test_a_masked_recipient(recipient: str, shown: str) -> None:
    """Enough to recognise one's own."""
    assert masked(recipient) == shown


def test_an_address_in_a_text() -> None:
    """Whatever stands around it."""
    assert without_addresses('550 <you@example.com>: "you@example.com", no') == (
        '550 <y…@e…le.com>: "y…@e…le.com", no'
    )


@pytest.mark.parametrize("address", ['"ann..lee"@example.com', "ann@[192.0.2.1]", "ann@[IPv6:2001:db8::1]"])
def test_an_unusual_address_in_a_text(address: str) -> None:
    """A quoted local part, and a host without a name."""
    shown = without_addresses(f"550 <{address}>: no")
    assert "ann" not in shown
    assert "192.0" not in shown
    assert "2001" not in shown


@pytest.mark.timeout(20)
def test_a_long_text_is_looked_through_once() -> None:
    """A page of REST masks a hundred messages. What takes the square of the length takes minutes for this one."""
    assert without_addresses("y" * 500_000).endswith("y")


@pytest.mark.slow
@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_nowhere_in_the_admin(logged_in: LoggedIn, accepted: Accept, role: str) -> None:
    """List, page, title, message, errors, overview, questions: no address for who may not see it."""

    def fail(message: recording_channel.Message) -> None:
        raise DeliveryError(f"no box {message.recipient}", permanent=True, response="ann@example.com is gone")

    recording_channel.behaviours["ann@example.com"] = fail
    row = accepted(recipient="ann@example.com", message="Dear ann@example.com", subject="ann@example.com")
    tasks.deliver.call([str(row.pk)])
    client = logged_in(role)
    pages = [
        client.get(reverse(LIST)),
        client.get(reverse(LIST), {"q": "ann@example.com"}),
        client.get(reverse("admin:notifications_notification_change", args=[row.pk])),
        client.get(reverse("admin:notifications_notification_history", args=[row.pk])),
        client.get(reverse("admin:notifications_overview_changelist")),
    ]
    assert all(page.status_code == 200 for page in pages)
    assert "a…@e…le.com" in pages[0].content.decode()
    for page in pages:
        text = page.content.decode().replace('value="ann@example.com"', "")  # what was typed into the search
        assert "ann@" not in text
        assert "ann%40" not in text.replace("q=ann%40example.com", "")


@pytest.mark.slow
def test_where_it_was_redirected_to(
    logged_in: LoggedIn, accepted: Accept, settings: Any, monkeypatch: Any
) -> None:
    """Who really got it is masked on its way too."""
    monkeypatch.setattr(recording_channel.RecordingChannel, "suppressible", True)
    settings.NOTIFICATIONS_REDIRECT_TO = "catch@example.net"
    row = accepted()
    tasks.deliver.call([str(row.pk)])
    url = reverse("admin:notifications_notification_change", args=[row.pk])
    page = logged_in("operator").get(url).content.decode()
    assert "c…@e…le.net" in page
    assert "catch@" not in page


@pytest.mark.slow
def test_what_the_other_side_says_is_text(admin_client: Client, accepted: Accept, settings: Any) -> None:
    """Whoever answers, and whoever is written to, writes nothing into the page but text."""

    def fail(message: recording_channel.Message) -> None:
        raise DeliveryError("<b>error</b>", permanent=True, response="<b>response</b>")

    recording_channel.behaviours["ann@example.com"] = fail
    row = accepted(recipient="ann@example.com")
    tasks.deliver.call([str(row.pk)])
    Notification.objects.update(recipient="<b>ann</b>")
    page = admin_client.get(
        reverse("admin:notifications_notification_change", args=[row.pk])
    ).content.decode()
    page += admin_client.post(
        reverse("admin:notifications_notification_reveal", args=[row.pk])
    ).content.decode()
    for text in ("error", "response", "ann"):
        assert f"&lt;b&gt;{text}&lt;/b&gt;" in page
        assert f"<b>{text}" not in page


@pytest.mark.slow
def test_a_beginning_is_not_searched_for_by_who_may_not_see(logged_in: LoggedIn, accepted: Accept) -> None:
    """Letter by letter it would tell the recipient; a whole one may be asked for."""
    row = accepted(recipient="ann@example.com")
    client = logged_in("operator")
    assert str(row.pk) not in client.get(reverse(LIST), {"q": "ann"}).content.decode()
    assert str(row.pk) in client.get(reverse(LIST), {"q": "ann@example.com"}).content.decode()


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("notification", "recipient__startswith=ann"),
        ("notification", "recipient=ann@example.com"),
        ("notification", "message__contains=ann"),
        ("notification", "owner=1"),
        ("suppression", "address__startswith=ann"),
        ("suppression", "created_at__year=0"),
        ("token", "digest__startswith=a"),
    ],
)
def test_a_list_is_narrowed_by_its_own_filters_only(admin_client: Client, page: str, query: str) -> None:
    """Nor by any other field, which Django takes from the address: it would tell the same letter by letter."""
    assert admin_client.get(f"/admin/notifications/{page}/?{query}").status_code == 400


@pytest.mark.slow
def test_reveal(logged_in: LoggedIn, accepted: Accept, caplog: pytest.LogCaptureFixture) -> None:
    """By a POST of who may; it is in Django's log of the admin and in ours, without the address."""
    row = accepted(recipient="ann@example.com")
    url = reverse("admin:notifications_notification_reveal", args=[row.pk])
    viewer, operator = logged_in("viewer"), logged_in("operator")
    assert viewer.post(url).status_code == 403
    assert operator.get(url).status_code == 403
    assert LogEntry.objects.count() == 0
    with caplog.at_level(logging.INFO, "notifications.admin"):
        page = operator.post(url)
    assert "ann@example.com" in page.content.decode()
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user.get_username()) == (str(row.pk), "operator")
    assert "ann@" not in f"{entry.object_repr} {entry.change_message}"
    assert f"notification={row.pk} event=revealed" in caplog.text
    assert "ann@" not in caplog.text


def test_who_may_see_sees(admin_client: Client, accepted: Accept) -> None:
    """An administrator, and whoever has the permission, needs no button."""
    row = accepted(recipient="ann@example.com")
    page = admin_client.get(
        reverse("admin:notifications_notification_change", args=[row.pk])
    ).content.decode()
    assert "ann@example.com" in page
    assert "Reveal" not in page


@pytest.mark.slow
@pytest.mark.parametrize(("role", "may_add"), [("viewer", False), ("operator", True)])
def test_the_suppression_list(logged_in: LoggedIn, role: str, may_add: bool) -> None:
    """Seen masked, here; the API, which shows the addresses, is closed to the same session."""
    entry, _ = suppression.add("ann@example.com")
    client = logged_in(role)
    page = client.get(reverse("admin:notifications_suppression_changelist")).content.decode()
    assert "a…@e…le.com" in page
    assert "ann@example.com" not in page
    assert (client.get(reverse("admin:notifications_suppression_add")).status_code == 200) == may_add
    # Letter by letter it would tell the address.
    for text, found in (("ann@example.com", True), ("ann", False)):
        page = client.get(reverse("admin:notifications_suppression_changelist"), {"q": text}).content.decode()
        assert ("a…@e…le.com" in page) == found
    for call in (
        client.get(reverse("notifications:suppressions")),
        client.delete(reverse("notifications:suppression", args=[entry.pk])),
    ):
        problem(call, 403)


def test_taken_off_the_list(admin_client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """One or many at once: each is told."""
    entries = [suppression.add(f"{name}@example.com")[0] for name in ("ann", "bob", "eve")]
    pages = reverse("admin:notifications_suppression_changelist")
    with caplog.at_level(logging.INFO, "notifications"):
        admin_client.post(f"{pages}{entries[0].pk}/delete/", {"post": "yes"})
        ticked = [str(entry.pk) for entry in entries[1:]]
        admin_client.post(pages, {"action": "delete_selected", "_selected_action": ticked, "post": "yes"})
    assert Suppression.objects.count() == 0
    for entry in entries:
        assert f"suppression={entry.pk} event=lifted" in caplog.text
