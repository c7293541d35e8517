"""The first page, as the server gives it: who sees it, and what its form does where no script runs."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from notifications.background import testing
from notifications.models import Notification
from notifications.pages.timeline import bars

pytestmark = pytest.mark.django_db

ORDER = {"recipient": "you@example.com", "message": "hello", "via": "queue"}
PROXIED = {"X-Forwarded-For": "203.0.113.1"}


@pytest.fixture
def development(settings: Any, log_file: Path) -> Iterator[None]:
    settings.DEBUG = True
    demo = {"BACKEND": "notifications.channels.demo.DemoChannel", "OPTIONS": {"path": log_file}}
    settings.CHANNELS = {**settings.CHANNELS, "demo": demo}
    return


def user_with(*codenames: str) -> User:
    user = User.objects.create_user("somebody")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


@pytest.mark.parametrize(("method", "path"), [("get", "/"), ("post", "/"), ("post", "/inline")])
def test_strangers_are_sent_to_log_in(client: Client, method: str, path: str) -> None:
    """Outside of development the page is for users; nothing of a stranger's is stored."""
    response = client.get(path) if method == "get" else client.post(path, ORDER)
    assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={path}")
    assert not Notification.objects.exists()


@pytest.mark.usefixtures("development")
def test_development_is_open_on_this_machine_only(client: Client) -> None:
    """The page's door is the API's: whoever comes through a proxy is a stranger."""
    assert client.get("/").status_code == 200
    assert client.get("/", headers=PROXIED).status_code == 302


@pytest.mark.usefixtures("development")
def test_it_is_kept_nowhere(client: Client, settings: Any) -> None:
    """It shows what is now; and it offers what a POST without a `via` would do."""
    for via in ("thread", "queue"):
        settings.NOTIFICATIONS_VIA = via
        page = client.get("/")
        assert "no-store" in page["Cache-Control"]
        assert f'value="{via}" checked' in page.content.decode()


@pytest.mark.usefixtures("development")
def test_a_form_without_script(client: Client) -> None:
    """The form sends, and leads to a page that says what became of it."""
    response = client.post("/", ORDER)
    notification = Notification.objects.get()
    assert (notification.message, notification.via, notification.channel) == ("hello", "queue", "log")
    assert response["Location"] == f"/sent/{notification.pk}"
    page = client.get(response["Location"]).content.decode()
    assert "the notification is queued" in page
    assert "style=" not in page  # the policy would not let it through


@pytest.mark.usefixtures("development")
def test_a_bad_address_comes_back_with_the_reason(client: Client) -> None:
    """400, what was typed is still there, and nothing is stored."""
    response = client.post("/", {**ORDER, "recipient": "nobody"})
    assert response.status_code == 400
    assert "@-sign" in response.content.decode()
    assert 'value="nobody"' in response.content.decode()
    assert not Notification.objects.exists()


@pytest.mark.usefixtures("development")
def test_what_was_typed_is_text(client: Client) -> None:
    """Whatever it is, it comes back as it was typed, and as nothing else."""
    typed = {"recipient": '"><script>1', "message": ' "><b>bold</b> '}
    page = client.post("/", {**ORDER, **typed}).content.decode()
    assert "<script>1" not in page
    assert 'value=" &quot;&gt;&lt;b&gt;bold&lt;/b&gt; "' in page
    client.post("/", {**ORDER, "message": typed["message"]})
    assert Notification.objects.get().message == typed["message"]


@pytest.mark.slow
@pytest.mark.usefixtures("development")
def test_too_many_for_one(client: Client, settings: Any) -> None:
    """The limit of a recipient is a reason in the form, not an error of the page."""
    settings.NOTIFICATIONS_RECIPIENT_LIMITS = {"hour": 1}
    assert [client.post("/", ORDER).status_code for _ in range(2)] == [302, 400]
    assert Notification.objects.count() == 1


@pytest.mark.usefixtures("development")
@pytest.mark.parametrize("path", ["/", "/inline"])
def test_other_sites_cannot_post(path: str) -> None:
    """Without the token of the page's own form: 403, with an open door too. With it the form sends."""
    client = Client(enforce_csrf_checks=True)
    assert client.post(path, ORDER).status_code == 403
    assert not Notification.objects.exists()
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/").content.decode())
    assert client.post("/", {**ORDER, "csrfmiddlewaretoken": token}).status_code == 302


@pytest.mark.usefixtures("development")
@pytest.mark.django_db(transaction=True)
def test_inline_works_before_it_responds(client: Client, log_file: Path) -> None:
    """When the response is there, the work is done, once, and nothing was left to a thread."""
    with testing.collect() as left:
        response = client.post("/inline", {**ORDER, "via": "inline", "slow": "on"})
    assert left == []
    notification = Notification.objects.get()
    assert (response.status_code, notification.status, notification.channel) == (200, "sent", "demo")
    assert response["Location"] == f"/api/v1/notifications/{notification.pk}"
    assert log_file.read_text() == "notification for you@example.com: hello\n"


@pytest.mark.usefixtures("development")
@pytest.mark.django_db(transaction=True)
def test_inline_leaves_to_a_thread_what_is_for_one(client: Client) -> None:
    """Whoever posts another mode there gets that mode, and it does not wait for the sweep."""
    with testing.run_inline():
        assert client.post("/inline", {**ORDER, "via": "thread"}).status_code == 200
    assert Notification.objects.get().status == "sent"


@pytest.mark.usefixtures("development")
def test_inline_says_what_is_wrong(client: Client) -> None:
    """400, with a pointer as the API's problems have it."""
    response = client.post("/inline", {**ORDER, "recipient": "nobody"})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/recipient")


def test_no_inline_without_slow_work(admin_client: Client) -> None:
    """It would hold a thread of a server that others need: only development, which has slow work to show, has it."""
    assert admin_client.post("/inline", ORDER).status_code == 404
    page = admin_client.get("/").content.decode()
    assert 'value="queue"' in page
    assert 'value="inline"' not in page
    assert 'name="slow"' not in page
    assert admin_client.post("/", {**ORDER, "slow": "on"}).status_code == 302
    assert Notification.objects.get().channel == "log"


@pytest.mark.slow
def test_who_may_not_send_is_told(client: Client) -> None:
    """A user without the right sees why the form is off; who posts all the same gets 403."""
    client.force_login(user_with("view_notification"))
    page = client.get("/").content.decode()
    assert "Can add notification" in page
    assert '<fieldset class="plain" disabled>' in page
    assert client.post("/", ORDER).status_code == 403
    assert not Notification.objects.exists()


@pytest.mark.slow
def test_who_may_not_look_may_send(client: Client) -> None:
    """They get the page again, with the reason why there is no more to see."""
    client.force_login(user_with("add_notification"))
    response = client.post("/", ORDER, follow=True)
    assert response.redirect_chain == [("/", 302)]
    assert "Can view notification" in response.content.decode()
    assert client.get(f"/sent/{Notification.objects.get().pk}").status_code == 403


@pytest.mark.slow
def test_of_others_nothing_is_known(client: Client, accepted: Any) -> None:
    """Somebody else's notification does not exist, as in the API."""
    user = user_with("add_notification", "view_notification")
    client.force_login(user)
    assert client.get(f"/sent/{accepted().pk}").status_code == 404
    own = client.post("/", ORDER, follow=True)
    assert (own.status_code, Notification.objects.get(owner=user).message) == (200, "hello")


def test_bars_are_to_scale(accepted: Any) -> None:
    """A retried notification of one second: waited, sent, waited, being sent now."""
    notification = accepted()
    notification.refresh_from_db()
    start, quarter = notification.created_at, timedelta(milliseconds=250)
    notification.attempts.create(
        number=1, started_at=start + quarter, finished_at=start + 2 * quarter, outcome="retry"
    )
    notification.status, notification.attempt_count = "sending", 2
    notification.claimed_at = start + 3 * quarter
    found = [
        (bar.name, bar.begin, bar.length, bar.left, bar.width)
        for bar in bars(notification, start + 4 * quarter)
    ]
    assert found == [
        ("queued", 0, 250, "0.000%", "25.000%"),
        ("sending", 250, 250, "25.000%", "25.000%"),
        ("queued", 500, 250, "50.000%", "25.000%"),
        ("sending", 750, 250, "75.000%", "25.000%"),
    ]


def test_bars_of_what_waits_begins_later_or_has_ended(accepted: Any) -> None:
    """While it waits the bar grows; a worker whose clock is ahead draws nothing back; the end is that of the scale."""
    pk = accepted().pk
    waits, begun, ended = (Notification.objects.get(pk=pk) for _ in range(3))
    start, second = waits.created_at, timedelta(seconds=1)
    [bar] = bars(waits, start + second)
    assert (bar.name, bar.length, bar.width) == ("queued", 1000, "100.000%")
    begun.status, begun.attempt_count, begun.claimed_at = "sending", 1, start + 2 * second
    assert [bar.length for bar in bars(begun, start + second)] == [2000, 0]
    ended.attempts.create(
        number=1, started_at=start + 2 * second, finished_at=start + 4 * second, outcome="sent"
    )
    ended.status, ended.finished_at = "sent", start + 4 * second
    assert [(bar.name, bar.left, bar.width) for bar in bars(ended, start + 60 * second)] == [
        ("queued", "0.000%", "50.000%"),
        ("sending", "50.000%", "50.000%"),
        ("sent", "100.000%", "0.000%"),
    ]
