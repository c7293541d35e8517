"""One-click unsubscribe (RFC 8058): the address in an e-mail's header, and what it stands for.

An address is signed and says whom and what it is about: one recipient, one category. Whoever has it can stop that
and nothing else, without a login; nobody can make one. It never expires: an old e-mail's button must work too.
"""

from dataclasses import dataclass

from django.core import signing

from .conf import notification_settings

SALT = "notifications.unsubscribe"
PATH = "/unsubscribe/"


class InvalidToken(ValueError):
    """Not made here, or changed on the way."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What one may stop: notifications of this category to this address. `notification` is where the token was."""

    address: str
    category: str
    notification: str


def headers(scope: Scope) -> dict[str, str]:
    """The two headers for an e-mail; none without a category, or without NOTIFICATIONS_BASE_URL to link to."""
    base = notification_settings().base_url.rstrip("/")
    if not (base and scope.category):
        return {}
    return {
        "List-Unsubscribe": f"<{base}{PATH}{token(scope)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def token(scope: Scope) -> str:
    return signing.dumps([scope.address, scope.category, scope.notification], salt=SALT)


def read(token: str) -> Scope:
    """Raises InvalidToken."""
    try:
        return Scope(*signing.loads(token, salt=SALT))
    except signing.BadSignature as error:
        raise InvalidToken("This link is not complete, or not from here.") from error
