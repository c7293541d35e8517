"""What is behind each address."""

from typing import Any

from django.conf import settings
from django.urls import reverse
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .. import services
from ..background import BackgroundTasks
from ..models import Notification
from .errors import PayloadTooLarge
from .serializers import NotificationSerializer, SendSerializer


class BoundedBody:
    """Refuse a body over DATA_UPLOAD_MAX_MEMORY_SIZE before a byte of it is parsed: DRF's parsers do not."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        length = request.META.get("CONTENT_LENGTH") or "0"
        if limit is not None and length.isdecimal() and int(length) > limit:
            raise PayloadTooLarge(f"The request body is larger than {limit} bytes.")
        super().initial(request, *args, **kwargs)  # type: ignore[misc]


class SendNotification(BoundedBody, APIView):
    """Respond first, work after: accept the notification, answer, deliver in the background."""

    query_parameters = ["message", "via"]

    def post(self, request: Request, email: str, background_tasks: BackgroundTasks) -> Response:
        data = request.query_params.dict() | _fields(request.data)
        serializer = SendSerializer(data=data)
        serializer.is_valid(raise_exception=True)
        notification = services.accept(
            recipient=email, enqueue=background_tasks.add_task, **serializer.validated_data
        )
        return Response(
            {"message": "Notification sent in the background"},
            headers={"Location": reverse("notification", args=[notification.pk])},
        )


class NotificationDetail(generics.RetrieveAPIView):
    """One notification: its status, its times and its attempts."""

    queryset = Notification.objects.prefetch_related("attempts")
    serializer_class = NotificationSerializer


def _fields(body: Any) -> dict[str, Any]:
    """A form's or a JSON body's fields. A JSON body that is no object is left to the serializer to refuse."""
    if hasattr(body, "dict"):
        return dict(body.dict())
    if isinstance(body, dict):
        return body
    SendSerializer(data=body).is_valid(raise_exception=True)
    return {}
