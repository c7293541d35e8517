"""A mailer of Django's that is no SMTP, such as a provider's API by anymail: one message, and what its errors mean."""

from dataclasses import replace
from typing import Any

from django.core.mail import EmailMultiAlternatives

from ..exceptions import DeliveryError
from .base import SENT, SendResult
from .smtp import Broken

# Names, because anymail is optional. It raises the first when the provider has refused the recipient, the others before
# anything goes out: they are about the message.
REFUSED = frozenset(
    {
        "AnymailRecipientsRefused",
        "AnymailInvalidAddress",
        "AnymailSerializationError",
        "AnymailUnsupportedFeature",
    }
)
# What urllib3 calls it when there was no connection.
NOT_CONNECTED = frozenset({"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"})


def send(mailer: Any, mail: EmailMultiAlternatives) -> SendResult:
    """Send one message. Raises DeliveryError, or Broken if nobody was reached."""
    try:
        count = mailer.send_messages([mail])
    except ConnectionRefusedError as error:
        raise Broken("connect", error) from error
    except Exception as error:
        # Somebody's mailer, like somebody's channel: whatever it raises is this message's matter alone. Only
        # an answer of the other side says that it did not take it.
        if _never_connected(error):
            raise Broken("connect", type(error.__cause__).__name__) from error
        code = getattr(error, "status_code", None)
        refused = type(error).__name__ in REFUSED
        raise DeliveryError(
            f"{type(error).__name__}: {error}",
            code=str(code or ""),
            permanent=refused or code in (400, 422),
            unknown=code is None and not refused,
            phase="send",
        ) from error
    if not count:
        raise DeliveryError("The mailer did not send it.", phase="send")
    known_as = getattr(getattr(mail, "anymail_status", None), "message_id", None)  # by the provider
    return replace(SENT, response="" if known_as is None else str(known_as), phase="send")


def _never_connected(error: Exception) -> bool:
    """Of what requests raised: it keeps urllib3's reason in its first argument."""
    for argument in getattr(error.__cause__, "args", ())[:1]:
        return type(getattr(argument, "reason", None)).__name__ in NOT_CONNECTED
    return False
