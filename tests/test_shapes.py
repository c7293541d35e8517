"""A setting of the wrong kind is named when the app is loaded, before anything stumbles over it."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from django.conf import UserSettingsHolder
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

import notifications
from notifications.apps import NotificationsConfig
from notifications.shapes import refuse_misshapen


def test_the_services_own_settings() -> None:
    refuse_misshapen()


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (["CHANNELS"], ["log"], "CHANNELS must be a dictionary with texts as its keys; it is of type list."),
        (
            ["CHANNELS", "log"],
            "log",
            "CHANNELS['log'] must be a dictionary with a 'BACKEND'; it is of type str.",
        ),
        (["CHANNELS", "log", "BACKEND"], None, "CHANNELS['log']['BACKEND'] must be a text; it is None."),
        (
            ["CHANNELS", "log", "OPTIONS"],
            "secret",
            "['OPTIONS'] must be a dictionary with texts as its keys; it is of",
        ),
        (["CHANNELS", "log", "OPTIONS"], {1: 2}, "CHANNELS['log']['OPTIONS'] must be"),
        (["CHANNELS", "log", "RETRY"], None, "CHANNELS['log']['RETRY'] must be"),
        (["CHANNELS", "log", "LIMITS"], [1], "CHANNELS['log']['LIMITS'] must be"),
        (
            ["TASKS", "default"],
            {},
            "TASKS['default'] must be a dictionary with a 'BACKEND'; it is of type dict.",
        ),
        (
            ["TASKS", "default", "BACKEND"],
            object,
            "TASKS['default']['BACKEND'] must be a text; it is of type type.",
        ),
        (["TASKS", "default", "OPTIONS"], (), "TASKS['default']['OPTIONS'] must be"),
        (
            ["TASKS", "default", "QUEUES"],
            "default",
            "TASKS['default']['QUEUES'] must be a list of texts; it is of type",
        ),
        (["MAILERS"], {"default": None}, "MAILERS['default'] must be a dictionary with texts"),
        (["Q_CLUSTER", "retry"], "330", "Q_CLUSTER['retry'] must be a number; it is of type str."),
        (
            ["Q_CLUSTER", "workers"],
            True,
            "Q_CLUSTER['workers'] must be a whole number, 1 or more; it is True.",
        ),
        (["NOTIFICATIONS_LEASE"], 30, "NOTIFICATIONS_LEASE must be a timedelta, not negative; it is 30."),
        (
            ["NOTIFICATIONS_MAX_WAIT"],
            timedelta(-1),
            "NOTIFICATIONS_MAX_WAIT must be a timedelta, not negative; it is",
        ),
        (
            ["NOTIFICATIONS_KEEP_DAYS"],
            {"sent": 1.5},
            "NOTIFICATIONS_KEEP_DAYS must be a dictionary of whole numbers",
        ),
        (
            ["NOTIFICATIONS_ALLOWED_RECIPIENTS"],
            "@example.com",
            "NOTIFICATIONS_ALLOWED_RECIPIENTS must be a list of",
        ),
    ],
)
def test_refused(monkeypatch: pytest.MonkeyPatch, path: list[str], value: Any, line: str) -> None:
    """Setting, alias, key and what is expected; and never a text that stands there, for it may be a secret."""
    name, *keys = path
    given = getattr(django_settings, name, {})
    # Each apart: two aliases may share one dictionary, which a copy of the whole would keep.
    whole = {key: deepcopy(each) for key, each in given.items()} if isinstance(given, dict) else given
    inner = whole
    for key in keys[:-1]:
        inner = inner[key]
    if keys:
        inner[keys[-1]] = value
    # A layer that goes as a whole: a setting that was not there before would count as deleted afterwards.
    monkeypatch.setattr(django_settings, "_wrapped", UserSettingsHolder(django_settings._wrapped))
    setattr(django_settings, name, whole if keys else value)
    with pytest.raises(ImproperlyConfigured) as caught:
        refuse_misshapen()
    [said] = str(caught.value).splitlines()
    assert line in said
    assert "secret" not in said


def test_when_the_app_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django makes its configuration before it imports the next app, so nobody has read the settings by then."""
    monkeypatch.setattr(django_settings, "TASKS", None)
    with pytest.raises(ImproperlyConfigured, match="TASKS must be"):
        NotificationsConfig("notifications", notifications)
