"""The product's own settings, with the door open as the peers' is, and one channel that takes 0.5 s."""

import os

from project.settings import *
from project.settings import CHANNELS, REST_FRAMEWORK

REST_FRAMEWORK = REST_FRAMEWORK | {"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"]}
CHANNELS = CHANNELS | {
    "slow": {
        "BACKEND": "benchmarks.sites.slow_channel.SlowChannel",
        "OPTIONS": {"path": os.environ["BENCH_SLOW_LOG_FILE"]},
    }
}
