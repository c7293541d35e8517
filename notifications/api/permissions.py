"""Who may do what. Rights are the permissions of Django's models, so the admin manages them."""

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from ..models import Notification, NotificationQuerySet, Token

if TYPE_CHECKING:  # rest_framework.views imports this module, for it is in its settings
    from rest_framework.views import APIView


class HasRight(IsAuthenticated):
    """A caller who is known and has what the view's `rights` ask for; anybody while `is_open`.

    `rights` maps a method to the codename of a permission of this app. A method it does not name needs a
    known caller and nothing else.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not super().has_permission(request, view):
            return is_open(request)
        right = getattr(view, "rights", {}).get(request.method)
        return right is None or may(request, right)


def may(request: Request | HttpRequest, codename: str) -> bool:
    """Whether this caller has that permission of this app. While `is_open`, an unknown one has all."""
    if not request.user.is_authenticated:
        return is_open(request)
    token = getattr(request, "auth", None)  # Django's own request has none
    if isinstance(token, Token):
        return request.user.is_superuser or codename in token.rights
    return request.user.has_perm(f"notifications.{codename}")


def owner(request: Request | HttpRequest) -> Any:
    """The user whose notifications these will be; None for the unknown caller of an open door."""
    return request.user if request.user.is_authenticated else None


def visible(request: Request | HttpRequest) -> NotificationQuerySet:
    """What this caller may know of. The rest does not exist for them: 404, not 403."""
    if may(request, "view_all_notifications"):
        return Notification.objects.all()
    return Notification.objects.filter(owner_id=request.user.pk)


def sees_recipient(request: Request | HttpRequest, notification: Notification) -> bool:
    """Whether this caller, who may know of it, sees its recipient: the owner does, for it named the recipient."""
    own = notification.owner_id is not None and notification.owner_id == request.user.pk
    return own or may(request, "view_recipient")


def is_open(request: Any) -> bool:
    """The one open door: DEBUG is on, and the client is on this machine."""
    # The address of the connection, never a header: X-Forwarded-For says what its sender likes. A request
    # that came through a proxy is not local, although the proxy's own connection may be.
    if not settings.DEBUG or "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META:
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
