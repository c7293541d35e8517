"""`Prefer: wait=N` (RFC 7240): the answer may come late, and then says how it ended."""

import re
import time
from threading import BoundedSemaphore
from uuid import UUID

from rest_framework.request import Request

from ..conf import notification_settings
from ..models import SETTLED, Notification

FIRST_LOOK, LAST_LOOK = 0.002, 0.25  # seconds between two looks: they grow from the one to the other

# Who waits holds a thread of the server. Past this many, further requests are answered at once, as without
# the preference: a server has threads for those who do not wait, whatever those who do ask for.
waiters = BoundedSemaphore(4)


def preferred_wait(request: Request) -> float:
    """Seconds the caller would wait, at most what the settings allow. 0: not at all."""
    for preference in request.headers.get("Prefer", "").split(","):
        if found := re.fullmatch(r'\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;.*)?', preference, re.IGNORECASE):
            return min(float(found[1]), notification_settings().max_wait.total_seconds())
    return 0


def wait_until_settled(id: UUID, seconds: float) -> bool | None:
    """Wait for a status that changes no more by itself. True: it has one. None: nobody waited, for too many do.

    Looks by one short query at a time, in no transaction.
    """
    if not waiters.acquire(blocking=False):
        return None
    try:
        deadline, pause = time.monotonic() + seconds, FIRST_LOOK
        while True:
            if Notification.objects.filter(pk=id, status__in=SETTLED).exists():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, LAST_LOOK)
    finally:
        waiters.release()
