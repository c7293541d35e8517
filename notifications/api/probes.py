"""For the machines that look after this one. Not REST framework's views: no throttle, no negotiation, no cache.

`/livez` and `/readyz` are open and say nothing but how it stands. `/metrics` needs `view_all_notifications`: how much
is sent, and how fast, is nobody's business.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.request import Request

from .. import health, metrics
from .door import Door
from .errors import method_not_allowed

Probe = Callable[[HttpRequest], HttpResponse]


def looked_at(probe: Probe) -> Probe:
    """GET and HEAD; any other method is 405, a problem document as everywhere."""

    @login_not_required  # for LoginRequiredMiddleware of a project: who asks is a machine
    @csrf_exempt  # Django's page about a token that is missing would come first, and tell a machine nothing
    @never_cache
    @wraps(probe)
    def view(request: HttpRequest) -> HttpResponse:
        allowed = ["GET", "HEAD"]
        return probe(request) if request.method in allowed else method_not_allowed(request, allowed)

    return view


@looked_at
def livez(request: HttpRequest) -> HttpResponse:
    """The process answers. It asks nobody else: a database that is down is no reason to kill a web process."""
    return JsonResponse({"status": "ok"})


@looked_at
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
