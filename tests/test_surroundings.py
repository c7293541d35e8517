"""What a project has around the app, and cannot work, is refused at start, with the way out in the message."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.urls import path

from notifications import surroundings
from notifications.pages.unsubscribe import Unsubscribe

urlpatterns = [path("orders", lambda request: HttpResponse(), name="orders")]


class OwnUnsubscribe(Unsubscribe):
    """With the project's own page."""


class Router:
    """As projects write them: what is asked about none of their apps is None."""

    reads: str | None = None
    writes: str | None = None
    migrates: bool | None = None

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return self.reads

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return self.writes

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return self.migrates


class Replica(Router):
    reads = "replica"


class Elsewhere(Router):
    reads = writes = "second"


class Nowhere(Router):
    migrates = False


def messages() -> list[Any]:
    return [message for message in run_checks(tags=["notifications"]) if message.hint]


@pytest.mark.parametrize("name", ["Replica", "Elsewhere", "Nowhere"])
def test_tables_are_in_one_place(settings: Any, name: str) -> None:
    """A replica that lags, another database that has no users, none at all: one message for each app, not a 500."""
    settings.DATABASE_ROUTERS = [f"{__name__}.{name}"]
    assert [message.id for message in messages()] == ["notifications.E030"] * 2


def test_a_router_that_leaves_them_alone(settings: Any) -> None:
    """It says None of what is not its own."""
    settings.DATABASE_ROUTERS = [f"{__name__}.Router"]
    assert messages() == []


def test_other_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements of SQLite would fail on them, one by one."""
    monkeypatch.setattr(surroundings, "connection", SimpleNamespace(vendor="mysql"))
    assert [message.id for message in surroundings.check_database()] == ["notifications.E043"]


def test_nobody_keeps_what_is_to_be_tried_again(settings: Any) -> None:
    """Django's own default for TASKS runs a task at once, and refuses to wait for the next attempt."""
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
    (message,) = messages()
    assert message.id == "notifications.W029"


def test_a_default_for_which_no_task_can_be_declared(settings: Any) -> None:
    """One line, where Django's own is about a task that nobody of the project has written."""
    settings.TASKS = {"default": {"BACKEND": "notifications.backends.thread.ThreadBackend"}}
    with pytest.raises(ImproperlyConfigured, match=r"TASKS\['default'\].*QueueBackend"):
        surroundings.refuse_default_backend()


@pytest.mark.parametrize("name", ["NOTIFICATIONS_CALLER_RATE", "NOTIFICATIONS_MAX_SENT"])
def test_a_setting_that_nobody_reads(settings: Any, name: str) -> None:
    """A variable of the environment, which only this repository's settings read, and a slip of the pen."""
    setattr(settings, name, "1/hour")
    (message,) = messages()
    assert (message.id, name in message.msg) == ("notifications.W046", True)


def test_users_without_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of AbstractBaseUser alone would be a 500 for each token."""
    fields = [
        field for field in get_user_model()._meta.get_fields() if field.name not in ("groups", "is_active")
    ]
    bare = SimpleNamespace(_meta=SimpleNamespace(get_fields=lambda: fields))
    monkeypatch.setattr(surroundings, "get_user_model", lambda: bare)
    (message,) = surroundings.check_users()
    assert (message.id, message.msg) == (
        "notifications.E045",
        "AUTH_USER_MODEL 'auth.User' has no groups, is_active.",
    )


@pytest.mark.parametrize(
    ("view", "ids"), [(None, ["notifications.W044"]), (Unsubscribe, []), (OwnUnsubscribe, [])]
)
def test_links_to_nowhere(settings: Any, monkeypatch: pytest.MonkeyPatch, view: Any, ids: list[str]) -> None:
    """The page of the links in e-mails is there, or a page of the project's own in its place."""
    settings.NOTIFICATIONS_BASE_URL = "https://notify.example.com"
    addresses = [*urlpatterns, *([path("unsubscribe/<str:token>", view.as_view())] if view else [])]
    monkeypatch.setattr("tests.test_surroundings.urlpatterns", addresses)
    settings.ROOT_URLCONF = __name__
    assert [message.id for message in messages()] == ids
