"""The service's own settings with the `celery` backend on queues of this test's own, and short times."""

import os
from datetime import timedelta

from tests.end_to_end.settings import *  # noqa: F403
from tests.end_to_end.settings import TASKS

TASKS["celery"]["OPTIONS"] |= {"QUEUE_PREFIX": os.environ["TEST_PREFIX"], "LOST_AFTER": 1}
NOTIFICATIONS_LEASE = timedelta(seconds=2)
