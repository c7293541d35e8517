"""Who is there: `Authorization: Bearer …`, looked up by its hash. One query brings the user's rights along."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from ..models import Token


class TokenAuthentication(BaseAuthentication):
    """`request.user` is the token's user, `request.auth` the token, `request.auth.rights` what it may do."""

    def authenticate(self, request: Request) -> tuple[object, Token] | None:
        scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = Token.objects.find(secret.strip())
        if token is None:
            # One answer for unknown, expired and revoked: it says nothing about which of them exist.
            raise AuthenticationFailed("The token is not valid.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
