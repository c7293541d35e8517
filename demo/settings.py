"""The service's own settings, with a channel for each way in which things go well or wrong."""

import os
from datetime import timedelta

from project.settings import *  # noqa: F403
from project.settings import CHANNELS

SECRET = "whsec_ZGVtb25zdHJhdGlvbiBkZW1vbnN0cmF0aW9u"  # signs for the receiver beside us only
RECEIVER = os.environ["DEMO_RECEIVER"]
FILE = {"path": CHANNELS["log"]["OPTIONS"]["path"]}
SOON = {"MAX_ATTEMPTS": 3, "BASE": timedelta(seconds=2)}  # nobody watches for a quarter of an hour
DEMO = "notifications.channels.demo.DemoChannel"

CHANNELS["email"]["RETRY"] = SOON
CHANNELS["flaky"] = {"BACKEND": DEMO, "OPTIONS": {**FILE, "failures": 1}, "RETRY": SOON}
CHANNELS["broken"] = {"BACKEND": DEMO, "OPTIONS": {**FILE, "failures": 9}, "RETRY": SOON}
CHANNELS["webhook"] = {
    "BACKEND": "notifications.channels.webhook.WebhookChannel",
    "OPTIONS": {
        "http": True,
        "allow": ["127.0.0.1"],
        "endpoints": {
            name: {"url": f"{RECEIVER}/{name}", "secrets": [SECRET]}
            for name in ("billing", "busy", "moved", "silent")
        },
    },
    "RETRY": SOON,
    "UNKNOWN": "hold",
}
