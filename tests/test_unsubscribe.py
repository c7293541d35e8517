"""One-click unsubscribe (RFC 8058), from the header of an e-mail to what is cancelled because of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from notifications import services, suppression, tasks, unsubscribe
from notifications.channels import Message, channels
from notifications.models import Notification, Status, Suppression
from notifications.unsubscribe import Scope

pytestmark = pytest.mark.django_db

ID = "019a0000-0000-7000-8000-000000000000"
SCOPE = Scope("ann@example.com", "newsletter", ID)


@pytest.fixture
def mails(settings: Any, mailoutbox: list[Any]) -> list[Any]:
    settings.NOTIFICATIONS_BASE_URL = "https://notify.example.com/"
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    email = {
        "BACKEND": "notifications.channels.email.EmailChannel",
        "OPTIONS": {"from_email": "a@example.org"},
    }
    settings.CHANNELS = {**settings.CHANNELS, "email": email}
    return mailoutbox


@pytest.fixture
def browser() -> Client:
    """One that is refused without a CSRF token wherever one is asked for."""
    return Client(enforce_csrf_checks=True)


def sent(mails: list[Any], **fields: Any) -> Any:
    message = Message(ID, "ann@example.com", "Hi", "text", datetime.now(UTC), 1, **fields)
    [result] = channels["email"].send([message])
    assert result.sent, result.error
    return mails[-1]


def test_the_button_works(mails: list[Any], browser: Client, monkeypatch: Any) -> None:
    """What a mail program posts to the link of the header stops that category, and no other; nothing else must."""
    headers = sent(mails, category="newsletter").extra_headers
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = urlsplit(headers["List-Unsubscribe"].strip("<>"))
    assert f"{link.scheme}://{link.netloc}" == "https://notify.example.com"
    answer = browser.post(link.path, {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    entry = Suppression.objects.get()
    assert (entry.address, entry.category, entry.reason) == ("ann@example.com", "newsletter", "unsubscribed")
    assert str(entry.notification) == ID
    before = len(mails)
    monkeypatch.setattr("notifications.tasks.deliver_slowly", tasks.deliver)
    results = {}
    for category in ("newsletter", "other", ""):
        row = services.accept(recipient="Ann@example.com", message="text", channel="email", category=category)
        tasks.deliver.func([str(row.pk)])
        row = Notification.objects.get(pk=row.pk)
        results[category] = (row.status, row.reason)
    assert results == {
        "newsletter": (Status.CANCELLED, "suppressed: unsubscribed"),
        "other": (Status.SENT, ""),
        "": (Status.SENT, ""),
    }
    assert len(mails) == before + 2


@pytest.mark.parametrize("by_ourselves", [True, False])
def test_the_link_is_one_line(mails: list[Any], *, by_ourselves: bool) -> None:
    """Folded, it would be an encoded word: mail programs find no link in one. Some mailers write it themselves."""
    from notifications.channels.email import POLICY

    mail = sent(mails, category="newsletter")
    raw = (mail.message(policy=POLICY) if by_ourselves else mail.message()).as_bytes().decode()
    [line] = [line for line in raw.splitlines() if line.startswith("List-Unsubscribe:")]
    assert line == f"List-Unsubscribe: {mail.extra_headers['List-Unsubscribe']}"


@pytest.mark.parametrize(("category", "base"), [("", "https://notify.example.com"), ("newsletter", "")])
def test_without_a_way_there_is_no_header(mails: list[Any], settings: Any, category: str, base: str) -> None:
    """What must arrive has no button, and a service that nobody reaches offers none."""
    settings.NOTIFICATIONS_BASE_URL = base
    assert "List-Unsubscribe" not in sent(mails, category=category).extra_headers


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_changes_nothing(browser: Client, method: str) -> None:
    """Programs that look for malware open every link."""
    answer = getattr(browser, method)(f"/unsubscribe/{unsubscribe.token(SCOPE)}")
    assert answer.status_code == 200
    assert not Suppression.objects.exists()


def test_the_page(browser: Client) -> None:
    """A form that posts to where it is, no address in it, and no cache."""
    answer = browser.get(f"/unsubscribe/{unsubscribe.token(SCOPE)}")
    page = answer.content.decode()
    assert '<form class="card" method="post">' in page
    assert "newsletter" in page
    assert "ann@" not in page
    assert "no-store" in answer["Cache-Control"]
    scope = Scope(SCOPE.address, "<b>bold</b>", ID)
    for answer in (browser.get, browser.post):
        assert b"<b>" not in answer(f"/unsubscribe/{unsubscribe.token(scope)}").content


def test_twice_is_once(browser: Client) -> None:
    """The button may be pressed again, and answers the same."""
    answers = [browser.post(f"/unsubscribe/{unsubscribe.token(SCOPE)}") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert Suppression.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: f"x{t}", lambda t: t.split(":")[0], lambda t: "x"]
)
def test_a_token_that_is_not_ours(browser: Client, method: str, change: Callable[[str], str]) -> None:
    """404, and nobody is unsubscribed."""
    answer = getattr(browser, method)(f"/unsubscribe/{change(unsubscribe.token(SCOPE))}")
    assert answer.status_code == 404
    assert not Suppression.objects.exists()


@pytest.mark.slow
def test_the_list_in_the_admin(admin_client: Client, django_user_model: Any, client: Client) -> None:
    """Add, see, refuse what is there, take off; who may only look sees masked addresses."""
    add = "/admin/notifications/suppression/add/"
    form = {"address": "Ann@Example.com", "category": "", "reason": "manual", "note": "asked by phone"}
    assert admin_client.post(add, form).status_code == 302
    entry = Suppression.objects.get()
    assert (entry.address, entry.note, entry.created_by.is_superuser) == (
        "ann@example.com",
        "asked by phone",
        True,
    )
    assert b"on the list already" in admin_client.post(add, form).content
    assert admin_client.post(add, {**form, "address": "nobody"}).status_code == 200
    assert Suppression.objects.count() == 1
    assert b"ann@example.com" in admin_client.get("/admin/notifications/suppression/").content
    assert admin_client.get(f"/admin/notifications/suppression/{entry.pk}/change/").status_code == 200
    viewer = django_user_model.objects.create_user("viewer", is_staff=True)
    from django.contrib.auth.models import Permission

    viewer.user_permissions.add(Permission.objects.get(codename="view_suppression"))
    client.force_login(viewer)
    assert b"ann@example.com" not in client.get("/admin/notifications/suppression/").content
    assert (
        client.post(f"/admin/notifications/suppression/{entry.pk}/delete/", {"post": "yes"}).status_code
        == 403
    )
    done = admin_client.post(f"/admin/notifications/suppression/{entry.pk}/delete/", {"post": "yes"})
    assert done.status_code == 302
    assert not Suppression.objects.exists()
    suppression.add("ann@example.com")
    assert Suppression.objects.count() == 1
