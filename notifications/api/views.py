"""What is behind each address. A view reads the request and asks the front desk; it decides nothing itself."""

import math
from functools import cache
from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import get_script_prefix, get_urlconf, reverse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from .. import services
from ..background import BackgroundTasks, pool
from ..models import Notification, NotificationQuerySet, Status
from . import openapi
from .door import Door
from .idempotency import answered_once
from .pagination import page
from .permissions import owner, visible
from .serializers import (
    ListQuerySerializer,
    NewNotificationSerializer,
    NotificationSerializer,
    NotificationSummarySerializer,
    SendSerializer,
)
from .waiting import preferred_wait, wait_until_settled

LONGEST_RETRY_AFTER = 3600  # seconds

# Made once: to copy its fields for every request would take longer than to check them.
SEND = SendSerializer()


class SendNotification(Door):
    """Respond first, work after: accept the notification, answer, deliver in the background."""

    rights = {"POST": "add_notification"}
    query_parameters = ["message", "via"]

    @openapi.send
    def post(self, request: Request, email: str, background_tasks: BackgroundTasks) -> HttpResponseBase:
        body = _raw(request)
        data = request.query_params.dict() | _fields(request.data)
        wanted = SEND.run_validation(data)

        def answer() -> Response:
            notification = services.accept(
                recipient=email,
                owner=owner(request),
                enqueue=background_tasks.add_task,
                **wanted,
            )
            return Response(
                {"message": "Notification sent in the background"},
                headers={"Location": _address(notification)},
            )

        return answered_once(request, body, answer)


class Notifications(Door):
    """All that the caller may know of, newest first; or a new one."""

    rights = {"GET": "view_notification", "POST": "add_notification"}
    parser_classes = [JSONParser]

    @property
    def query_parameters(self) -> list[str]:  # type: ignore[override]
        return list(ListQuerySerializer().fields) if self.request.method == "GET" else []

    @openapi.list_notifications
    def get(self, request: Request) -> Response:
        # Not the QueryDict itself: REST framework takes an empty value in one for none at all.
        values = dict(request.query_params.lists())
        data = {name: value if name == "status" else value[-1] for name, value in values.items()}
        serializer = ListQuerySerializer(data=data)
        serializer.is_valid(raise_exception=True)
        query = serializer.validated_data
        found = page(_filtered(visible(request), query), request, query)
        return Response(
            {"next": found.next, "results": NotificationSummarySerializer(found.rows, many=True).data}
        )

    @openapi.create
    def post(self, request: Request, background_tasks: BackgroundTasks) -> HttpResponseBase:
        body = _raw(request)
        serializer = NewNotificationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        seconds = preferred_wait(request)
        # The request's own tasks begin when it has been answered. Who waits for the end cannot wait for that.
        tasks = BackgroundTasks() if seconds else background_tasks
        notification: Notification | None = None

        def answer() -> Response:
            nonlocal notification
            notification = services.accept(
                owner=owner(request), enqueue=tasks.add_task, **serializer.validated_data
            )
            return _accepted(notification)

        response = answered_once(request, body, answer)
        if not seconds or notification is None or not isinstance(response, Response):
            return response
        tasks.hand_to(pool.submit)
        if wait_until_settled(notification.pk, seconds):
            response = _document(notification.pk)
            response["Location"] = _address(notification)
        response["Preference-Applied"] = f"wait={seconds:g}"
        return response


class NotificationDetail(Door):
    """One notification: its status, its times and its attempts."""

    rights = {"GET": "view_notification"}

    @openapi.detail
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        notification = get_object_or_404(visible(request), pk=pk)
        seconds = preferred_wait(request)
        if seconds and not notification.is_settled and wait_until_settled(notification.pk, seconds):
            notification.refresh_from_db()
        etag = _etag(notification)
        response = get_conditional_response(request._request, etag=etag)  # noqa: SLF001 (DRF's documented name)
        if response is None:
            response = Response(NotificationSerializer(notification).data)
        response["ETag"] = etag
        response["Cache-Control"] = "private, no-cache"
        if not notification.is_final:
            response["Retry-After"] = _retry_after(notification)
        if seconds:
            response["Preference-Applied"] = f"wait={seconds:g}"
        return response


class CancelNotification(Door):
    """Cancel what no worker has claimed yet."""

    rights = {"POST": "cancel_notification"}

    @openapi.cancel
    def post(self, request: Request, pk: UUID) -> Response:
        notification = get_object_or_404(visible(request), pk=pk)
        services.cancel(notification)
        return _document(notification.pk)


class ConfirmNotification(Door):
    """Say of an unknown one that it arrived."""

    rights = {"POST": "resend_notification"}

    @openapi.confirm
    def post(self, request: Request, pk: UUID) -> Response:
        notification = get_object_or_404(visible(request), pk=pk)
        services.confirm(notification)
        return _document(notification.pk)


class SendNotificationAgain(Door):
    """Try an unknown one once more: the same notification, its next attempt."""

    rights = {"POST": "resend_notification"}

    @openapi.send_again
    def post(self, request: Request, pk: UUID) -> Response:
        notification = get_object_or_404(visible(request), pk=pk)
        services.send_again(notification)
        response = _document(notification.pk)
        response.status_code = 202
        return response


class ResendNotification(Door):
    """Send the same once more, as a new notification."""

    rights = {"POST": "resend_notification"}

    @openapi.resend
    def post(self, request: Request, pk: UUID, background_tasks: BackgroundTasks) -> HttpResponseBase:
        body = _raw(request)
        notification = get_object_or_404(visible(request), pk=pk)

        def answer() -> Response:
            return _accepted(
                services.resend(notification, owner=owner(request), enqueue=background_tasks.add_task)
            )

        return answered_once(request, body, answer)


def _accepted(notification: Notification) -> Response:
    """202; 200 for a duplicate, which is there already."""
    return Response(
        NotificationSerializer(notification).data,
        status=200 if notification.is_duplicate else 202,
        headers={"Location": _address(notification)},
    )


def _document(id: UUID) -> Response:
    return Response(NotificationSerializer(Notification.objects.get(pk=id)).data)


def _address(notification: Notification) -> str:
    return f"{_collection(get_script_prefix(), get_urlconf())}/{notification.pk}"


@cache
def _collection(prefix: str, urlconf: str | None) -> str:
    """Found once for each place that the service is mounted at."""
    return reverse("notifications", urlconf)


def _etag(notification: Notification) -> str:
    """Of what changes in the document. Weak: it says nothing of the bytes."""
    changes = (notification.status, notification.attempt_count, notification.next_attempt_at)
    return f'W/"{notification.pk.hex}-{"-".join(str(part).replace(" ", "T") for part in changes)}"'


def _retry_after(notification: Notification) -> str:
    """Whole seconds until it is worth asking again."""
    if notification.status == Status.UNKNOWN:  # somebody has to decide first
        return str(LONGEST_RETRY_AFTER)
    due = notification.next_attempt_at if notification.status == Status.QUEUED else None
    seconds = (due - timezone.now()).total_seconds() if due else 1
    return str(min(max(1, math.ceil(seconds)), LONGEST_RETRY_AFTER))


def _filtered(rows: NotificationQuerySet, query: dict[str, Any]) -> NotificationQuerySet:
    if query.get("status"):
        rows = rows.filter(status__in=query["status"])
    if "created_after" in query:
        rows = rows.filter(created_at__gte=query["created_after"])
    if "created_before" in query:
        rows = rows.filter(created_at__lt=query["created_before"])
    return rows.filter(**{name: query[name] for name in ("channel", "via", "recipient") if name in query})


def _raw(request: Request) -> bytes:
    """The body as it came, while it has not been parsed. Only a key needs it."""
    if "HTTP_IDEMPOTENCY_KEY" not in request.META:
        return b""
    body: bytes = request._request.body  # noqa: SLF001 (DRF's documented name)
    return body


def _fields(body: Any) -> dict[str, Any]:
    """A form's or a JSON body's fields. A JSON body that is no object is left to the serializer to refuse."""
    if hasattr(body, "dict"):
        return dict(body.dict())
    if isinstance(body, dict):
        return body
    SendSerializer(data=body).is_valid(raise_exception=True)
    return {}
