"""The locks: tokens, rights, and what a caller may know of."""

import hashlib
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone
from rest_framework.test import APIClient

from notifications.models import Notification, Token
from tests.api.conftest import problem

pytestmark = pytest.mark.django_db

LIST = "/api/v1/notifications"
SUPPRESSIONS = "/api/v1/suppressions"
SEND = "/send-notification/you@example.com"
NEW = {"recipient": "you@example.com", "message": "hello"}
Caller = Callable[..., APIClient]


def test_a_token_costs_one_query(caller: Caller, django_assert_num_queries: Any) -> None:
    """token with user and rights · begin · entry · row · commit: authentication and rights are one look-up."""
    ann = caller("ann", "add")
    ann.post(SEND)
    with django_assert_num_queries(5) as queries:
        assert ann.post(SEND).status_code == 200
    assert "notifications_token" in queries[0]["sql"]


def test_only_a_hash_is_kept(caller: Caller) -> None:
    """The table opens no door: the secret has 256 random bits, and only its SHA-256 is in it."""
    caller("ann")
    token, secret = Token.objects.issue(Token.objects.get().user)
    assert token.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert len(secret.removeprefix("rfwa_")) == 43
    assert secret not in str(Token.objects.values().get(pk=token.pk))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tokens: tokens.revoke(),
        lambda tokens: tokens.update(expires_at=timezone.now() - timedelta(seconds=1)),
        lambda tokens: tokens.update(digest="0" * 64),
        lambda tokens: tokens.get().user.__class__.objects.update(is_active=False),
        lambda tokens: tokens.get().user.delete(),
    ],
    ids=["revoked", "expired", "unknown", "inactive user", "deleted user"],
)
def test_a_token_that_is_not_valid(caller: Caller, spoil: Callable[[Any], object]) -> None:
    """401 from the next request on, with one and the same answer whatever the reason."""
    ann = caller("ann")
    assert ann.get(LIST).status_code == 200
    spoil(Token.objects.all())
    response = ann.get(LIST)
    assert problem(response, 401)["detail"] == "The token is not valid."
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer \xe9", "Basic YTpi", "bearer x y", "Token x"]
)
def test_a_header_that_is_no_token(client: Any, header: str) -> None:
    """401, never 500; who shows none is not told that it is not valid (RFC 6750, 3.1)."""
    response = client.get(LIST, headers={"Authorization": header})
    problem(response, 401)
    assert ("invalid_token" in response["WWW-Authenticate"]) == header.lower().startswith("bearer")


CALLS = {
    "add": [("post", LIST), ("post", f"{LIST}/bulk"), ("post", SEND)],
    "view": [("get", LIST), ("get", f"{LIST}/{uuid4()}")],
    "cancel": [("post", f"{LIST}/{uuid4()}/cancel")],
    "resend": [("post", f"{LIST}/{uuid4()}/resend")],
    "suppress": [
        ("get", SUPPRESSIONS),
        ("post", SUPPRESSIONS),
        ("get", f"{SUPPRESSIONS}/{uuid4()}"),
        ("delete", f"{SUPPRESSIONS}/{uuid4()}"),
    ],
}


@pytest.mark.parametrize("right", CALLS)
def test_each_call_needs_its_right(caller: Caller, client: Any, right: str) -> None:
    """401 without a caller, 403 without the right, whatever the other rights; and never 403 with it."""
    others = caller("others", *(other for other in CALLS if other != right))
    owner = caller("owner", right)
    for method, path in CALLS[right]:
        problem(getattr(client, method)(path), 401)
        problem(getattr(others, method)(path), 403)
        assert getattr(owner, method)(path).status_code not in {401, 403}


def test_the_admins_groups_count(caller: Caller, django_user_model: Any) -> None:
    """A right may come from a group, as the admin gives it."""
    ann = caller("ann", "view")
    problem(ann.post(SEND), 403)
    group = Group.objects.create(name="senders")
    group.permissions.set(Permission.objects.filter(codename="add_notification"))
    django_user_model.objects.get(username="ann").groups.add(group)
    assert ann.post(SEND).status_code == 200


def test_a_permission_of_another_app_is_no_right(caller: Caller, django_user_model: Any) -> None:
    """A codename counts within this app only."""
    permission = Permission.objects.get(codename="add_user")
    Permission.objects.create(
        codename="add_notification", name="elsewhere", content_type=permission.content_type
    )
    ann = caller("ann", "view")
    django_user_model.objects.get(username="ann").user_permissions.add(
        Permission.objects.get(name="elsewhere")
    )
    problem(ann.post(SEND), 403)


@pytest.mark.slow
def test_a_caller_sees_its_own(caller: Caller) -> None:
    """404 for the notifications of others: read, cancel and resend alike. `view_all_notifications` sees all."""
    ann, bob, all_seeing = caller("ann"), caller("bob"), caller("eve", "view", "view_all")
    location = ann.post(LIST, NEW, format="json")["Location"]
    assert ann.get(location).status_code == all_seeing.get(location).status_code == 200
    problem(bob.get(location), 404)
    problem(bob.post(f"{location}/cancel"), 404)
    problem(bob.post(f"{location}/resend"), 404)
    assert len(ann.get(LIST).json()["results"]) == len(all_seeing.get(LIST).json()["results"]) == 1
    assert bob.get(LIST).json()["results"] == []
    assert Notification.objects.get().status == "queued"


def test_a_session_is_enough_and_needs_csrf(client: Any, admin_user: Any) -> None:
    """The admin's users come with their session; a POST of theirs needs the CSRF token."""
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    assert browser.get(LIST).status_code == 200
    problem(browser.post(SEND), 403)


def test_debug_does_not_widen_rights(caller: Caller, client: Any, settings: Any) -> None:
    """The open door is for callers without credentials: a token without the right stays without it."""
    settings.DEBUG = True
    assert client.post(SEND).status_code == 200
    problem(caller("ann", "view").post(SEND), 403)
    problem(client.post(SEND, headers={"Authorization": "Bearer wrong"}), 401)


def test_no_secret_in_the_log(caller: Caller, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a token that is let in nor one that is not appears in a line."""
    caplog.set_level("DEBUG")
    secret = "rfwa_this-is-secret"
    problem(client.post(SEND, headers={"Authorization": f"Bearer {secret}"}), 401)
    ann = caller("ann", "add")
    ann.post(SEND)
    own = ann._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    lines = [record.getMessage() for record in caplog.records if record.name != "django.db.backends"]
    assert not [line for line in lines if secret in line or own in line]


class TestTheCommand:
    """`manage.py token` makes one and prints it once."""

    def test_makes_user_rights_and_token(self, client: Any) -> None:
        """What it prints opens the door, for what --can says and nothing else."""
        output = io.StringIO()
        call_command("token", "shop", "--can", "send,read", stdout=output, stderr=io.StringIO())
        headers = {"Authorization": f"Bearer {output.getvalue().strip()}"}
        assert client.post(SEND, headers=headers).status_code == 200
        assert client.get(LIST, headers=headers).status_code == 200
        problem(client.post(f"{LIST}/{uuid4()}/cancel", headers=headers), 403)
        user = Token.objects.get().user
        assert not user.has_usable_password()

    def test_expires(self) -> None:
        """--days sets the end."""
        call_command(
            "token", "shop", "--can", "send", "--days", "2", stdout=io.StringIO(), stderr=io.StringIO()
        )
        assert Token.objects.filter(expires_at__gt=F("created_at") + timedelta(days=1)).exists()

    def test_revokes(self, caller: Caller) -> None:
        """--revoke closes the door."""
        ann = caller("ann")
        call_command("token", "ann", "--revoke", stdout=io.StringIO())
        problem(ann.get(LIST), 401)

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["shop"], "--can"),
            (["shop", "--can", "fly"], "Unknown right"),
            (["nobody", "--revoke"], "no user"),
            (["", "--can", "send"], "no name of a user"),
            (["x" * 151, "--can", "send"], "no name of a user"),
            *((["shop", "--can", "send", "--days", days], "--days") for days in ("0", "-1", "9" * 12)),
        ],
        ids=str,
    )
    def test_refuses(self, django_user_model: Any, arguments: list[str], reason: str) -> None:
        """What it cannot do is said, and nothing is made: no user, no token that has expired already."""
        with pytest.raises(CommandError, match=reason):
            call_command("token", *arguments)
        assert not Token.objects.exists()
        assert not django_user_model.objects.exists()


class TestTheAdmin:
    """Shows who has a key, and takes it back; shows no secret, and makes none."""

    @pytest.mark.slow
    def test_revokes(self, caller: Caller, admin_client: Any) -> None:
        """The action closes the door from the next request on."""
        ann = caller("ann")
        page = admin_client.get("/admin/notifications/token/")
        assert Token.objects.get().hint in page.content.decode()
        assert Token.objects.get().digest not in page.content.decode()
        data = {"action": "revoke", "_selected_action": [Token.objects.get().pk]}
        assert admin_client.post("/admin/notifications/token/", data).status_code == 302
        problem(ann.get(LIST), 401)

    @pytest.mark.slow
    def test_needs_its_permission(self, caller: Caller, client: Any, django_user_model: Any) -> None:
        """Who may only look cannot revoke."""
        caller("ann")
        viewer = django_user_model.objects.create_user("viewer", is_staff=True)
        viewer.user_permissions.set(Permission.objects.filter(codename="view_token"))
        client.force_login(viewer)
        data = {"action": "revoke", "_selected_action": [Token.objects.get().pk]}
        client.post("/admin/notifications/token/", data)
        assert Token.objects.get().revoked_at is None
