"""What is behind each address. A view reads the request and asks the front desk; it decides nothing itself."""

from functools import lru_cache
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from .. import orders, services
from ..background import BackgroundTasks, pool
from ..channels import channels
from ..models import Notification, NotificationQuerySet
from .answers import accepted, document, etag_of, headers, retry_after
from .door import Door, has_body
from .errors import PreconditionFailed
from .idempotency import answered_once, raw
from .operations import operation
from .pagination import page
from .parsers import FormParser, JSONParser, MultiPartParser
from .permissions import may, owner, visible
from .serializers import (
    ListQuerySerializer,
    NewNotificationSerializer,
    NotificationSerializer,
    NotificationSummarySerializer,
    SendSerializer,
)
from .waiting import preferred_wait, wait_until_settled

# Made once: to copy its fields for every request would take longer than to check them.
SEND = SendSerializer()
SENT = JSONRenderer().render({"message": "Notification sent in the background"})


class SendNotification(Door):
    """Respond first, work after: accept the notification, answer, deliver in the background."""

    rights = {"POST": "add_notification"}
    query_parameters = ["message", "via"]
    parser_classes = [JSONParser, FormParser, MultiPartParser]

    @operation("send")
    def post(self, request: Request, email: str, background_tasks: BackgroundTasks) -> HttpResponseBase:
        body = raw(request)
        wanted = _wanted(request, email)

        def answer() -> HttpResponse:
            notification = services.accept(
                recipient=email,
                owner=owner(request),
                enqueue=background_tasks.add_task,
                **wanted,
            )
            # The same bytes for everybody: there is nothing to render.
            return HttpResponse(SENT, content_type="application/json", headers=headers(notification))

        return answered_once(request, body, answer)


class Notifications(Door):
    """All that the caller may know of, newest first; or a new one."""

    rights = {"GET": "view_notification", "POST": "add_notification"}

    @property
    def query_parameters(self) -> list[str]:  # type: ignore[override]
        return list(ListQuerySerializer().fields) if self.request.method == "GET" else []

    @operation("list_notifications")
    def get(self, request: Request) -> Response:
        # Not the QueryDict itself: REST framework takes an empty value in one for none at all.
        values = dict(request.query_params.lists())
        data = {name: value if name == "status" else value[-1] for name, value in values.items()}
        serializer = ListQuerySerializer(data=data)
        serializer.is_valid(raise_exception=True)
        query = serializer.validated_data
        rows = visible(request)
        if "recipient" in query and not may(request, "view_recipient"):
            # Whether there is one to this address would tell what is masked.
            rows = rows.filter(owner_id=request.user.pk)
        found = page(_filtered(rows, query), request, query)
        shown = NotificationSummarySerializer(found.rows, many=True, context={"request": request})
        return Response({"next": found.next, "results": shown.data})

    @operation("create")
    def post(self, request: Request, background_tasks: BackgroundTasks) -> HttpResponseBase:
        body = raw(request)
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
            return accepted(notification, request)

        response = answered_once(request, body, answer)
        if not seconds or notification is None or not isinstance(response, Response):
            return response
        tasks.hand_to(pool.submit)
        is_settled = wait_until_settled(notification.pk, seconds)
        if is_settled:
            response = document(notification.pk, request)
            for name, value in headers(notification).items():
                response[name] = value
        if is_settled is not None:
            response["Preference-Applied"] = f"wait={seconds:g}"
        return response


class NotificationDetail(Door):
    """One notification: its status, its times and its attempts."""

    rights = {"GET": "view_notification"}

    @operation("detail")
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        notification = get_object_or_404(visible(request), pk=pk)
        seconds = preferred_wait(request)
        is_settled: bool | None = notification.is_settled
        if seconds and not is_settled:
            is_settled = wait_until_settled(notification.pk, seconds)
            if is_settled:
                notification.refresh_from_db()
        etag = etag_of(notification, request)
        # It has no date. Django would take the condition for one that is not met (RFC 9110, 13.1.4: ignore it).
        request.META.pop("HTTP_IF_UNMODIFIED_SINCE", None)
        response = get_conditional_response(request._request, etag=etag)  # noqa: SLF001 (DRF's documented name)
        if response is not None and response.status_code == PreconditionFailed.status_code:
            raise PreconditionFailed  # Django's own is empty
        if response is None:
            response = Response(NotificationSerializer(notification, context={"request": request}).data)
        response["ETag"] = etag
        response["Cache-Control"] = "private, no-cache"
        if not notification.is_final:
            response["Retry-After"] = retry_after(notification)
        if seconds and is_settled is not None:
            response["Preference-Applied"] = f"wait={seconds:g}"
        return response


def _filtered(rows: NotificationQuerySet, query: dict[str, Any]) -> NotificationQuerySet:
    if len(query.get("status", ())) == 1:  # as the small indexes have it: SQLite takes them for nothing else
        rows = rows.filter(status=next(iter(query["status"])))
    elif query.get("status"):
        rows = rows.filter(status__in=query["status"])
    if "created_after" in query:
        rows = rows.filter(created_at__gte=query["created_after"])
    if "created_before" in query:
        rows = rows.filter(created_at__lt=query["created_before"])
    if "recipient" in query:
        rows = rows.filter(recipient__in=channels.spellings(query["recipient"]))
    return rows.filter(**{name: query[name] for name in ("channel", "via") if name in query})


def _wanted(request: Request, email: str) -> dict[str, Any]:
    """What the body asks for, and what the query does."""
    query = request.META.get("QUERY_STRING", "")
    if not has_body(request) and "message" not in query:
        return _usual(query)
    asked, fields = request.query_params.dict(), _fields(request.data)
    if asked and fields:
        # The body wins, and what it wins over has to be right all the same.
        orders.make(recipient=email, owner=owner(request), **SEND.run_validation(asked))
    wanted: dict[str, Any] = SEND.run_validation(asked | fields)
    return wanted


@lru_cache(maxsize=64)
def _usual(query: str) -> dict[str, Any]:
    """The same for what most requests say: nothing, or where it runs. To read it anew costs a tenth of a request."""
    wanted: dict[str, Any] = SEND.run_validation(QueryDict(query).dict())
    return wanted


def _fields(body: Any) -> dict[str, Any]:
    """A form's or a JSON body's fields. A JSON body that is no object is left to the serializer to refuse."""
    if hasattr(body, "dict"):
        return dict(body.dict())
    if isinstance(body, dict):
        return body
    SendSerializer(data=body).is_valid(raise_exception=True)
    return {}
