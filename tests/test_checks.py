"""A wrong setting is refused at start, by a stable id, with the way out in the message."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from notifications.channels import BaseChannel, channels
from notifications.conf import notification_settings


class NotAChannel:
    pass


LOG = "notifications.channels.log.LogChannel"


def ids() -> list[str]:
    return [message.id for message in run_checks(tags=["notifications"])]


def test_the_services_own_settings_are_clean() -> None:
    """As shipped, nothing is refused."""
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value", "id"),
    [
        ("NOTIFICATIONS_VIA", "pigeon", "notifications.E001"),
        ("NOTIFICATIONS_CHANNEL", "smoke", "notifications.E002"),
        ("NOTIFICATIONS_LEASE", 30, "notifications.E003"),
        ("NOTIFICATIONS_LEASE", timedelta(0), "notifications.E003"),
        ("NOTIFICATIONS_BASE_URL", "notify.example.com", "notifications.E026"),
        ("NOTIFICATIONS_BASE_URL", "https://b\u00fccher.example", "notifications.E026"),
        ("NOTIFICATIONS_BASE_URL", "https://notify.example.com?to=us", "notifications.E026"),
        ("NOTIFICATIONS_BASE_URL", "https://notify.example.com:port", "notifications.E026"),
        ("NOTIFICATIONS_BASE_URL", "https://me@notify.example.com", "notifications.E026"),
        ("NOTIFICATIONS_KEEP_DAYS", {"sent": 10**9}, "notifications.E019"),
        ("NOTIFICATIONS_RATES", {"caller": "0/minute"}, "notifications.E027"),
        ("NOTIFICATIONS_RATES", {"everybody": "9/minute"}, "notifications.E027"),
        ("NOTIFICATIONS_RECIPIENT_LIMITS", {"minute": 9}, "notifications.E028"),
        ("CHANNELS", {"log": {"BACKEND": LOG, "OPTIONS": {"path": None}}}, "notifications.E011"),
        ("CHANNELS", {"log": {"BACKEND": "no.such.Channel"}}, "notifications.E010"),
        ("CHANNELS", {"log": {}}, "notifications.E010"),
        ("CHANNELS", {"log": {"BACKEND": "tests.test_checks.NotAChannel"}}, "notifications.E010"),
        ("CHANNELS", {"log": {"BACKEND": LOG}}, "notifications.E011"),
        (
            "CHANNELS",
            {"log": {"BACKEND": LOG, "OPTIONS": {"path": "/no/such/log.txt"}}},
            "notifications.E012",
        ),
        (
            "CHANNELS",
            {"log": {"BACKEND": LOG, "OPTIONS": {"path": "log.txt"}, "RETRY": {"MAX_TRIES": 3}}},
            "notifications.E013",
        ),
        (
            "CHANNELS",
            {"log": {"BACKEND": LOG, "OPTIONS": {"path": "log.txt"}, "LIMITS": {"MAX_PER_SECOND": 0}}},
            "notifications.E014",
        ),
        (
            "CHANNELS",
            {"log": {"BACKEND": LOG, "OPTIONS": {"path": "log.txt"}, "LIMIT": {"MAX_PER_SECOND": 1}}},
            "notifications.E025",
        ),
    ],
)
def test_refused(settings: Any, name: str, value: Any, id: str) -> None:
    """Exactly this one message, with a hint."""
    setattr(settings, name, value)
    (message,) = run_checks(tags=["notifications"])
    assert message.id == id
    assert message.hint


def test_what_a_project_need_not_set(settings: Any) -> None:
    """Law 7: a project that has none of the service's own settings reads what to set, and no traceback."""
    for name in [name for name in dir(settings) if name.startswith("NOTIFICATIONS_")]:
        setattr(settings, name, getattr(settings, name))  # whoever has read it is told now, and afterwards
        delattr(settings, name)
    assert ids() == []
    assert notification_settings().via == "queue"
    settings.CHANNELS = {}
    del settings.CHANNELS
    assert channels.configure_settings(None) == {}
    (message,) = run_checks(tags=["notifications"])
    assert message.id == "notifications.E002"
    assert "CHANNELS" in str(message.hint)


def test_the_base_channel_says_what_to_implement() -> None:
    """Docstring as error text."""
    with pytest.raises(NotImplementedError, match="send_one"):
        BaseChannel("x", {}).send_one(None)  # type: ignore[arg-type]


def test_an_error_of_the_channels_own_module_comes_through(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that looks for a variable in vain, say: the message must not be about the setting, which is right."""
    (tmp_path / "needy_channel.py").write_text("import os\nos.environ['NO_SUCH_VARIABLE']\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings.CHANNELS = {"log": {"BACKEND": "needy_channel.Channel"}}
    with pytest.raises(KeyError, match="NO_SUCH_VARIABLE"):
        channels["log"]
