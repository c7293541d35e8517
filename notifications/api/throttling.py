"""How often. A known caller is counted as such; whoever is not let in is counted by address.

Counters live in Django's cache, in windows of the clock. With the default cache each process counts for itself,
so N web processes let N times as many through; a shared CACHES makes the number exact. What must be exact
without one, the limits of a recipient, is counted in the database (`limits.py`).
"""

import time
from typing import Any

from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from ..conf import notification_settings
from ..rates import Rate


class Counter:
    """What one caller has used of a rate in this window."""

    def __init__(self, scope: str, ident: str) -> None:
        self.rate = Rate.parse(notification_settings().rates.get(scope, ""))
        if self.rate:
            window, self.elapsed = divmod(time.time(), self.rate.seconds)
            self.key = f"notifications.rate:{scope}:{ident}:{int(window)}"

    def add(self) -> int:
        """Count one request. Returns how many there were in this window."""
        if self.rate is None:
            return 0
        if cache.add(self.key, 1, self.rate.seconds):
            return 1
        try:
            return cache.incr(self.key)
        except ValueError:  # the window ended between the two calls
            return 1

    def is_spent(self) -> bool:
        return self.rate is not None and cache.get(self.key, 0) >= self.rate.requests

    def wait(self) -> float:
        """Seconds until the next window."""
        return 0 if self.rate is None else self.rate.seconds - self.elapsed


class CallerThrottle(BaseThrottle):
    """The rate "caller": all requests of one user, whatever its tokens and addresses."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if not notification_settings().rates.get("caller"):
            return True
        self.counter = Counter("caller", str(request.user.pk or self.get_ident(request)))
        return self.counter.rate is None or self.counter.add() <= self.counter.rate.requests

    def wait(self) -> float:
        return self.counter.wait()


def refused_from(request: Request) -> Counter:
    """The rate "address": requests from there that were not let in."""
    # With 0 `get_ident` makes a dictionary of all headers, and looks at none. With None, REST framework's default, it
    # believes all of X-Forwarded-For: whoever writes another one each time would never be refused.
    if not api_settings.NUM_PROXIES:
        return Counter("address", request._request.META.get("REMOTE_ADDR", ""))  # noqa: SLF001 (DRF's documented name)
    return Counter("address", BaseThrottle().get_ident(request))
