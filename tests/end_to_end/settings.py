"""The service's own settings, with a channel that waits at a gate."""

import os

from project.settings import *  # noqa: F403
from project.settings import CHANNELS

CHANNELS["gated"] = {
    "BACKEND": "tests.end_to_end.gated_channel.GatedChannel",
    "OPTIONS": {"path": CHANNELS["log"]["OPTIONS"]["path"]},
}
NOTIFICATIONS_CHANNEL = os.environ.get("TEST_CHANNEL", "log")
