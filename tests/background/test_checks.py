"""System checks of BACKGROUND_TASKS: a wrong value is refused at start, with a stable id."""

import pytest

from notifications.background.checks import MIDDLEWARE, check_background_tasks


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
