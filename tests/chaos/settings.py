"""The service's own settings with short leases, so that what died is found again within seconds."""

import os
from datetime import timedelta

from project.settings import *  # noqa: F403
from project.settings import CHANNELS, DATABASES, Q_CLUSTER

LEASE_SECONDS = 3
NOTIFICATIONS_LEASE = timedelta(seconds=LEASE_SECONDS)
NOTIFICATIONS_CHANNEL = "chaos"
# Each kill counts an attempt: what is killed again and again must not run out of them.
RETRY = {"MAX_ATTEMPTS": 50, "BASE": timedelta(seconds=0.2), "CAP": timedelta(seconds=1)}
POISON_ATTEMPTS = 3
CHANNELS["log"]["RETRY"] = RETRY
CHANNELS |= {
    "chaos": {
        "BACKEND": "tests.chaos.channels.ChaosChannel",
        "OPTIONS": CHANNELS["log"]["OPTIONS"],
        "RETRY": RETRY,
    },
    "network": {
        "BACKEND": "tests.chaos.channels.NetworkChannel",
        "OPTIONS": CHANNELS["log"]["OPTIONS"],
        "RETRY": RETRY,
    },
    "held": {
        "BACKEND": "tests.chaos.channels.HeldChannel",
        "OPTIONS": CHANNELS["log"]["OPTIONS"],
        "RETRY": RETRY,
        "UNKNOWN": "hold",
    },
    "poison": {
        "BACKEND": "tests.chaos.channels.PoisonChannel",
        "OPTIONS": CHANNELS["log"]["OPTIONS"],
        "RETRY": {**RETRY, "MAX_ATTEMPTS": POISON_ATTEMPTS},
    },
}
Q_CLUSTER = {**Q_CLUSTER, "retry": int(os.environ.get("CHAOS_RETRY", "60")), "poll": 0.2}
Q_CLUSTER["timeout"] = Q_CLUSTER["retry"] - 1
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Shorter than the other process holds the file: statements must fail, not only wait.
    DATABASES["default"]["OPTIONS"]["timeout"] = 2
