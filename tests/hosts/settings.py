"""One host's settings: the service's own, with short leases, a second queue, and a clock that may be wrong.

HOST_CLOCK_OFF is so many seconds: what Python code reads from the clock is off by it. (libfaketime would shift the
whole process, but is not everywhere.)
"""

import os
import time
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from tests.end_to_end.settings import *  # noqa: F403
from tests.end_to_end.settings import CHANNELS, Q_CLUSTER, TASKS

NOTIFICATIONS_LEASE = timedelta(seconds=2)
NOTIFICATIONS_CHANNEL = "gated"
CHANNELS["gated"]["RETRY"] = {"BASE": timedelta(seconds=0.1), "CAP": timedelta(seconds=0.2)}
TASKS["default"]["QUEUES"] = ["default", "bulk"]
# Few at once, so that several clusters get some of a short backlog.
Q_CLUSTER = {**Q_CLUSTER, "bulk": 20, "poll": 0.2, "ALT_CLUSTERS": {"bulk": {"workers": 1}}}

if off := timedelta(seconds=float(os.environ.get("HOST_CLOCK_OFF", "0"))):
    timezone.now = lambda: datetime.now(UTC) + off
    time.time = lambda: datetime.now(UTC).timestamp() + off.total_seconds()
