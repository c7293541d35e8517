"""The service's own settings, with a channel whose errors quote everything, and retries at once."""

from datetime import timedelta

from project.settings import *  # noqa: F403
from project.settings import CHANNELS

CHANNELS["failing"] = {
    "BACKEND": "tests.failing_channel.FailingChannel",
    "RETRY": {"MAX_ATTEMPTS": 2, "BASE": timedelta(milliseconds=10), "CAP": timedelta(milliseconds=10)},
}
