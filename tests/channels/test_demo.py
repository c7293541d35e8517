"""The demo channel: fails as often as it is told, and then does what the log channel does."""

from pathlib import Path
from typing import Any

import pytest

from notifications import tasks
from notifications.models import Notification

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_fails_first_and_writes_then(settings: Any, log_file: Path, accepted: Any) -> None:
    """One failed attempt, one line."""
    settings.CHANNELS = {
        "demo": {
            "BACKEND": "notifications.channels.demo.DemoChannel",
            "OPTIONS": {"path": log_file, "failures": 1},
        }
    }
    notification = accepted(channel="demo")
    for outcome in ("retry", "sent"):
        Notification.objects.update(next_attempt_at=notification.created_at)
        tasks.deliver.call([str(notification.pk)])
        assert notification.attempts.last().outcome == outcome
    assert log_file.read_text() == "notification for you@example.com: hello\n"
