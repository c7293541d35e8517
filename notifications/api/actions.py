"""What can be done with a notification that is there: cancel it, send it again, say what became of it."""

from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from .. import services
from ..background import BackgroundTasks
from .answers import accepted, document
from .door import Door
from .idempotency import answered_once, raw
from .operations import operation
from .permissions import visible


class CancelNotification(Door):
    """Cancel what no worker has claimed yet."""

    rights = {"POST": "cancel_notification"}

    @operation("cancel")
    def post(self, request: Request, pk: UUID) -> Response:
        notification = get_object_or_404(visible(request), pk=pk)
        services.cancel(notification)
        return document(notification.pk, request)


class ConfirmNotification(Door):
    """Say of an unknown one that it arrived."""

    rights = {"POST": "resend_notification"}

    @operation("confirm")
    def post(self, request: Request, pk: UUID) -> Response:
        notification = get_object_or_404(visible(request), pk=pk)
        services.confirm(notification)
        return document(notification.pk, request)


class SendNotificationAgain(Door):
    """Try an unknown one once more: the same notification, its next attempt."""

    rights = {"POST": "resend_notification"}

    @operation("send_again")
    def post(self, request: Request, pk: UUID) -> Response:
        notification = get_object_or_404(visible(request), pk=pk)
        services.send_again(notification)
        response = document(notification.pk, request)
        response.status_code = 202
        return response


class ResendNotification(Door):
    """Send the same once more, as a new notification."""

    rights = {"POST": "resend_notification"}

    @operation("resend")
    def post(self, request: Request, pk: UUID, background_tasks: BackgroundTasks) -> HttpResponseBase:
        body = raw(request)
        notification = get_object_or_404(visible(request).select_related("owner"), pk=pk)

        def answer() -> Response:
            return accepted(services.resend(notification, enqueue=background_tasks.add_task), request)

        return answered_once(request, body, answer)
