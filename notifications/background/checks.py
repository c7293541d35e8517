"""System checks of `settings.BACKGROUND_TASKS` and of what the views ask for. Registered by the app: they run once."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any

from django.conf import settings
from django.core import checks
from django.urls import URLResolver, get_resolver

from .conf import REFUSE, RUN, BackgroundSettings
from .injection import prepare

NAMES = {field.name.upper() for field in fields(BackgroundSettings)}
MIDDLEWARE = "notifications.background.middleware.BackgroundTasksMiddleware"


def check_background_tasks(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Unknown keys, values that cannot be, and a middleware that is missing or not the last."""
    given = getattr(settings, "BACKGROUND_TASKS", {})
    if not isinstance(given, dict):
        return [checks.Error("BACKGROUND_TASKS must be a dict.", id="notifications.background.E001")]
    messages: list[checks.CheckMessage] = []
    for name in sorted(map(str, given.keys() - NAMES)):
        messages.append(
            checks.Error(
                f"BACKGROUND_TASKS has an unknown key: {name!r}.",
                hint=f"Known are {', '.join(sorted(NAMES))}.",
                id="notifications.background.E002",
            )
        )
    for name, requirement in _wrong_values(given):
        messages.append(
            checks.Error(
                f"BACKGROUND_TASKS[{name!r}] is {given[name]!r}; it must be {requirement}.",
                id="notifications.background.E003",
            )
        )
    if settings.MIDDLEWARE.count(MIDDLEWARE) != 1 or settings.MIDDLEWARE[-1] != MIDDLEWARE:
        messages.append(
            checks.Warning(
                f"{MIDDLEWARE} is not the last of MIDDLEWARE.",
                hint="Put it last, once: a middleware behind it may answer before tasks can be injected.",
                id="notifications.background.W001",
            )
        )
    return messages


def check_views(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """What a view of ROOT_URLCONF asks for and cannot get: each of its requests would fail."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    wrong: dict[str, None] = {}  # each once, however many addresses the view has
    for view in views_of(get_resolver().url_patterns):
        try:
            prepare(view)
        except TypeError as error:
            wrong[str(error)] = None
    return [checks.Error(message, id="notifications.background.E004") for message in wrong]


def views_of(patterns: Iterable[Any]) -> Iterator[Callable[..., Any]]:
    """Every view that these addresses lead to."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views_of(pattern.url_patterns)
        else:
            yield pattern.callback


def _wrong_values(given: dict[str, Any]) -> list[tuple[str, str]]:
    rules: dict[str, tuple[Callable[[Any], bool], str]] = {
        "MAX_THREADS": (lambda value: _is_int(value) and value >= 1, "a whole number, 1 or more"),
        "MAX_WAITING": (lambda value: _is_int(value) and value >= 0, "a whole number, 0 or more"),
        "DRAIN_TIMEOUT": (
            lambda value: (_is_int(value) or isinstance(value, float)) and value >= 0,
            "a number of seconds, 0 or more",
        ),
        "OVERFLOW": (lambda value: value in (RUN, REFUSE), f"{RUN!r} or {REFUSE!r}"),
        "RUN_ON_ERROR": (lambda value: isinstance(value, bool), "True or False"),
    }
    return [(name, text) for name, (holds, text) in rules.items() if name in given and not holds(given[name])]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
