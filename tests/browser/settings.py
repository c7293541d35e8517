"""The service's own settings, with slow work that ends when the test opens its gate."""

from project.settings import *  # noqa: F403
from project.settings import CHANNELS

CHANNELS["demo"] = {
    "BACKEND": "tests.end_to_end.gated_channel.GatedChannel",
    "OPTIONS": {"path": CHANNELS["log"]["OPTIONS"]["path"], "seconds": 3},
}
