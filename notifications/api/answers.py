"""A notification as an answer: the document, where it is, what says that it has changed, when to ask again."""

import math
from functools import cache
from uuid import UUID

from django.conf import settings
from django.urls import get_script_prefix, get_urlconf, reverse
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import database_now
from ..models import Notification, Status
from .permissions import sees_recipient
from .serializers import NotificationSerializer

LONGEST_RETRY_AFTER = 3600  # seconds
ENGINE_HEADERS = VIA, REQUESTED_VIA = "Notification-Via", "Notification-Requested-Via"


def accepted(notification: Notification, request: Request) -> Response:
    """202; 200 for a duplicate, which is there already."""
    return Response(
        NotificationSerializer(notification, context={"request": request}).data,
        status=200 if notification.is_duplicate else 202,
        headers=headers(notification),
    )


def headers(notification: Notification) -> dict[str, str]:
    """Where it is, and which engine took it: the one that was asked for, or the one that stands in for it."""
    said = {"Location": address(notification), VIA: notification.via}
    if notification.requested_via:
        said[REQUESTED_VIA] = notification.requested_via
    return said


def document(id: UUID, request: Request) -> Response:
    found = Notification.objects.get(pk=id)
    return Response(NotificationSerializer(found, context={"request": request}).data)


def address(notification: Notification) -> str:
    return f"{_collection(get_script_prefix(), get_urlconf() or settings.ROOT_URLCONF)}/{notification.pk}"


@cache
def _collection(prefix: str, urlconf: str) -> str:
    """Found once for each place that the service is mounted at."""
    return reverse("notifications:notifications", urlconf)


def etag_of(notification: Notification, request: Request) -> str:
    """Of what changes in the document. Weak: it says nothing of the bytes.

    One for those who see its recipient, another for those who do not: two users of one browser share its cache.
    """
    changes = [notification.status, notification.attempt_count, notification.next_attempt_at]
    if not sees_recipient(request, notification):
        changes.append("masked")
    return f'W/"{notification.pk.hex}-{"-".join(str(part).replace(" ", "T") for part in changes)}"'


def retry_after(notification: Notification) -> str:
    """Whole seconds until it is worth asking again."""
    if notification.status == Status.UNKNOWN:  # somebody has to decide first
        return str(LONGEST_RETRY_AFTER)
    due = notification.next_attempt_at if notification.status == Status.QUEUED else None
    seconds = (due - database_now()).total_seconds() if due else 1
    return str(min(max(1, math.ceil(seconds)), LONGEST_RETRY_AFTER))
