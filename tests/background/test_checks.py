"""System checks of BACKGROUND_TASKS: a wrong value is refused at start, with a stable id."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import include, path
from django.views import View

from notifications.background import BackgroundTasks, Depends, inject
from notifications.background.checks import MIDDLEWARE, check_background_tasks, check_views


@pytest.mark.parametrize(
    ("given", "id"),
    [
        ([], "notifications.background.E001"),
        ({"THREADS": 3}, "notifications.background.E002"),
        ({"MAX_THREADS": 0}, "notifications.background.E003"),
        ({"MAX_THREADS": True}, "notifications.background.E003"),
        ({"MAX_WAITING": -1}, "notifications.background.E003"),
        ({"DRAIN_TIMEOUT": "20"}, "notifications.background.E003"),
        ({"OVERFLOW": "drop"}, "notifications.background.E003"),
        ({"RUN_ON_ERROR": "yes"}, "notifications.background.E003"),
    ],
)
def test_wrong_settings(settings, given: object, id: str) -> None:
    """Each mistake has its id and names the value."""
    settings.BACKGROUND_TASKS = given
    assert [message.id for message in check_background_tasks()] == [id]


def test_right_settings(settings) -> None:
    """No setting at all, and all of them."""
    assert check_background_tasks() == []
    settings.BACKGROUND_TASKS = {
        "MAX_THREADS": 1,
        "MAX_WAITING": 0,
        "DRAIN_TIMEOUT": 2.5,
        "OVERFLOW": "refuse",
        "RUN_ON_ERROR": True,
    }
    assert check_background_tasks() == []


@pytest.mark.parametrize("middleware", [[], [MIDDLEWARE, "x"], [MIDDLEWARE, MIDDLEWARE]])
def test_the_middleware_is_missing_or_not_last(settings, middleware: list[str]) -> None:
    """A warning: injection would fail, or a middleware behind would not see the tasks."""
    settings.MIDDLEWARE = middleware
    assert [message.id for message in check_background_tasks()] == ["notifications.background.W001"]


def by_position(request: Any, tasks: BackgroundTasks, /) -> HttpResponse: ...


def by_name(request: Any, /, tasks: BackgroundTasks) -> HttpResponse: ...


def of_no_class(request: Any, tasks=Depends()) -> HttpResponse: ...


def plain(word: str = "", /) -> None: ...


def asks(request: Any, _=Depends(plain)) -> HttpResponse: ...


class Handlers(View):
    def get(self, request: Any, tasks: BackgroundTasks, /) -> HttpResponse: ...


class Urls:
    def __init__(self, *views: Callable[..., Any]) -> None:
        inner = [path(f"{number}", view) for number, view in enumerate(views)]
        self.urlpatterns = [path("", include(inner)), path("again/", include(inner))]


@pytest.mark.parametrize(
    ("view", "named"),
    [(by_position, "by_position"), (Handlers.as_view(), "Handlers.get"), (of_no_class, "'tasks'")],
)
def test_views_that_cannot_be_called(settings, view: Callable[..., Any], named: str) -> None:
    """Each is refused once, by name, before the first request does it."""
    settings.ROOT_URLCONF = Urls(view, view)
    [message] = check_views()
    assert message.id == "notifications.background.E004"
    assert named in message.msg


def test_views_that_can_be_called(settings) -> None:
    """Only what is injected has to have a name."""
    assert check_views() == []
    settings.ROOT_URLCONF = Urls(by_name, asks)
    assert check_views() == []


def test_inject_refuses_at_import() -> None:
    with pytest.raises(TypeError, match="by_position takes 'tasks' by position only"):
        inject(by_position)
