"""Who is there: `Authorization: Bearer …`, looked up by its hash. One query brings the user's rights along."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from ..models import Token


class TokenAuthentication(BaseAuthentication):
    """`request.user` is the token's user, `request.auth` the token, `request.auth.rights` what it may do."""

    def authenticate(self, request: Request) -> tuple[object, Token] | None:
        if not _is_bearer(request):
            return None
        token = Token.objects.find(request.META["HTTP_AUTHORIZATION"].partition(" ")[2].strip())
        if token is None:
            # One answer for unknown, expired and revoked: it says nothing about which of them exist.
            raise AuthenticationFailed("The token is not valid.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401. `error` is for who showed a token (RFC 6750, 3.1), and not for who showed none."""
        return 'Bearer error="invalid_token"' if _is_bearer(request) else "Bearer"


def _is_bearer(request: Request) -> bool:
    scheme, _, _ = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return bool(scheme.lower() == "bearer")
