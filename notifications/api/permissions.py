"""Who may come in."""

from ipaddress import ip_address
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

if TYPE_CHECKING:  # rest_framework.views imports this module, for it is in its settings
    from rest_framework.views import APIView


class IsAuthenticatedOrLocalDebug(IsAuthenticated):
    """Everybody who is authenticated; anybody only while DEBUG is on and the client is on this machine."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return super().has_permission(request, view) or (settings.DEBUG and _is_loopback(request))


def _is_loopback(request: Request) -> bool:
    # The address of the connection, never a header: X-Forwarded-For says what its sender likes. A request
    # that came through a proxy is not local, although the proxy's own connection may be.
    if "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META:
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
