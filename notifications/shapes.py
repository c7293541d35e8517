"""What kind of value each setting has: asked once, before anything reads one, whoever starts.

Django, django-q2 and this app read settings while they are imported, and each would end in a traceback of its own,
far from the setting. Whether a value makes sense is for the system checks; this only says what it is made of.
"""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

Rule = tuple[Callable[[Any], bool], str]  # what holds, and how one says it

EACH = object()  # a step of a path: whatever stands there


def _kind(*types: type) -> Callable[[Any], bool]:
    """True and False are whole numbers in Python, and nobody means them."""
    return lambda value: isinstance(value, types) and not isinstance(value, bool)


def _of(inner: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple | set) and all(map(inner, value))


def _named(inner: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict) and all(isinstance(n, str) and inner(value[n]) for n in value)
    )


TEXT: Rule = (_kind(str), "a text")
TEXTS: Rule = (_of(_kind(str)), "a list of texts")
NUMBER: Rule = (_kind(int, float), "a number")
WHOLE: Rule = (_kind(int), "a whole number")
SOME: Rule = (lambda value: WHOLE[0](value) and value > 0, "a whole number, 1 or more")
TIME: Rule = (
    lambda value: isinstance(value, timedelta) and value >= timedelta(0),
    "a timedelta, not negative",
)
NAMED: Rule = (_named(lambda value: True), "a dictionary with texts as its keys")
COUNTS: Rule = (_named(WHOLE[0]), "a dictionary of whole numbers by name")
WORDS: Rule = (_named(TEXT[0]), "a dictionary of texts by name")
ENTRY: Rule = (lambda value: NAMED[0](value) and "BACKEND" in value, "a dictionary with a 'BACKEND'")
PATH: Rule = (lambda value: isinstance(value, str | os.PathLike) and value != "", "a path")

# By the way to a value. What is not there is not asked about, and what lies in something wrong neither.
RULES: dict[tuple[Any, ...], Rule] = {
    ("CHANNELS",): NAMED,
    ("CHANNELS", EACH): ENTRY,
    ("CHANNELS", EACH, "BACKEND"): TEXT,
    ("CHANNELS", EACH, "OPTIONS"): NAMED,
    ("CHANNELS", EACH, "RETRY"): NAMED,
    ("CHANNELS", EACH, "LIMITS"): NAMED,
    ("CHANNELS", EACH, "UNKNOWN"): TEXT,
    ("TASKS",): NAMED,
    ("TASKS", EACH): ENTRY,
    ("TASKS", EACH, "BACKEND"): TEXT,
    ("TASKS", EACH, "OPTIONS"): NAMED,
    ("TASKS", EACH, "QUEUES"): TEXTS,
    ("MAILERS",): NAMED,
    ("MAILERS", EACH): NAMED,
    ("MAILERS", EACH, "BACKEND"): TEXT,
    ("MAILERS", EACH, "OPTIONS"): NAMED,
    ("Q_CLUSTER",): NAMED,
    ("Q_CLUSTER", "name"): TEXT,
    ("Q_CLUSTER", "broker_class"): TEXT,
    ("Q_CLUSTER", "workers"): SOME,
    ("Q_CLUSTER", "bulk"): SOME,
    ("Q_CLUSTER", "recycle"): SOME,
    ("Q_CLUSTER", "timeout"): NUMBER,
    ("Q_CLUSTER", "retry"): NUMBER,
    ("Q_CLUSTER", "save_limit"): WHOLE,
    ("Q_CLUSTER", "ALT_CLUSTERS"): NAMED,
    ("ANYMAIL_WEBHOOK_SECRET",): TEXTS,
    ("BACKGROUND_TASKS",): NAMED,
    ("DEFAULT_FROM_EMAIL",): TEXT,
    ("NOTIFICATIONS_VIA",): TEXT,
    ("NOTIFICATIONS_CHANNEL",): TEXT,
    ("NOTIFICATIONS_LEASE",): TIME,
    ("NOTIFICATIONS_MAX_SEND",): TIME,
    ("NOTIFICATIONS_CONCURRENT_SENDS",): SOME,
    ("NOTIFICATIONS_MAX_MESSAGE_LENGTH",): SOME,
    ("NOTIFICATIONS_RECIPIENT_LIMITS",): COUNTS,
    ("NOTIFICATIONS_BULK_MAX_ITEMS",): SOME,
    ("NOTIFICATIONS_BULK_MAX_BYTES",): SOME,
    ("NOTIFICATIONS_MAX_WAIT",): TIME,
    ("NOTIFICATIONS_BASE_URL",): TEXT,
    ("NOTIFICATIONS_KEEP_DAYS",): COUNTS,
    ("NOTIFICATIONS_RATES",): WORDS,
    ("NOTIFICATIONS_REDIRECT_TO",): TEXT,
    ("NOTIFICATIONS_ALLOWED_RECIPIENTS",): TEXTS,
}


def refuse_misshapen() -> None:
    """Raises ImproperlyConfigured, with a line for each value of the settings that is not what it must be."""
    if problems := list(misshapen(settings, RULES)):
        raise ImproperlyConfigured("\n".join(problems))


def misshapen(given: Any, rules: dict[tuple[Any, ...], Rule]) -> Iterator[str]:
    """`given` is an object, or a dictionary, that has what the rules' ways begin with. No line repeats a text: it may
    be a secret."""
    for path, (holds, text) in rules.items():
        for where, value in _found(given, path):
            if not holds(value):
                yield f"{where} must be {text}; it is {_shown(value)}."


def _found(given: Any, path: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    first, *steps = path
    found = [(first, getattr(given, first))] if hasattr(given, first) else []
    for step in steps:
        found = [
            (f"{where}[{key!r}]", inner)
            for where, value in found
            if isinstance(value, dict)
            for key, inner in value.items()
            if step in (EACH, key)
        ]
    yield from found


def _shown(value: Any) -> str:
    if value is None or isinstance(value, int | float | timedelta):
        return repr(value)
    return f"of type {type(value).__name__}"
