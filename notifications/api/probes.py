"""For the machines that look after this one. Not REST framework's views: no throttle, no negotiation, no cache.

`/livez` and `/readyz` are open and say nothing but how it stands. `/metrics` needs `view_all_notifications`: how much
is sent, and how fast, is nobody's business.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.request import Request

from .. import health, metrics
from .door import Door


@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """The process answers. It asks nobody else: a database that is down is no reason to kill a web process."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200, or 503 with what is missing: no traffic should come here until it is there.

    `degraded` with 200: something does not work, but what is accepted is safe and nothing is refused.
    """
    failures = health.failures()
    degraded = {} if failures else health.degraded()
    body: dict[str, Any] = {"status": "failing" if failures else "degraded" if degraded else "ok"}
    if failures:
        body["failures"] = failures
    if degraded:
        body["degraded"] = degraded
    return JsonResponse(body, status=503 if failures else 200)


class Metrics(Door):
    """Prometheus' text format."""

    rights = {"GET": "view_all_notifications"}
    throttle_classes = []
    schema = None

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
