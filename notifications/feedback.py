"""What a mail provider reports after it took a message: a bounce or a complaint puts the address on the list.

Anymail makes one event of each provider's webhook. Connected only where anymail is installed.
"""

import logging
import re
from typing import Any
from uuid import UUID

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason, tracking
from django.core.exceptions import ValidationError
from django.dispatch import receiver

from . import suppression
from .channels.email import METADATA
from .channels.smtp import NO_MAILBOX
from .models import Notification, SuppressionReason

logger = logging.getLogger("notifications")

# Where each provider says that a bounce is for ever, and how.
HARD: dict[str, Any] = {
    "Type": {"HardBounce", "BadEmailAddress"},  # Postmark
    "event": {"hard_bounce", "invalid_email"},  # Brevo, Mandrill
    "type": {"activity.hard_bounced", "Permanent"},  # MailerSend, Resend
    "bounceType": {"Permanent"},  # Amazon SES
    "hard_bounce": {True},  # Mailjet
}


@receiver(tracking)
def put_on_the_list(sender: Any, *, event: AnymailTrackingEvent, esp_name: str, **kwargs: Any) -> None:
    """List the recipient of a notification of ours that bounced for good, or called it spam.

    The account may be used by others too, and on a copy of the service the mail was redirected: an event that is not
    about the recipient of a notification of ours changes nothing.
    """
    reason = _reason(event)
    id = _notification(event)
    if reason is None or id is None:
        return
    try:
        address = suppression.stored(event.recipient or "")
    except ValidationError:
        logger.warning("notification=%s event=%s: its recipient is no address", id, event.event_type)
        return
    recipient = Notification.objects.filter(pk=id).values_list("recipient", flat=True).first()
    # Of one that was deleted since, the id in the event is proof enough: nobody else knows it.
    if recipient is None or suppression.folded(recipient) == address:
        suppression.add(address, reason=reason, note=esp_name, notification=id)


def _reason(event: AnymailTrackingEvent) -> SuppressionReason | None:
    if event.event_type == EventType.COMPLAINED:
        return SuppressionReason.COMPLAINT
    if event.event_type in (EventType.BOUNCED, EventType.REJECTED) and _is_hard(event):
        return SuppressionReason.BOUNCE
    return None


def _is_hard(event: AnymailTrackingEvent) -> bool:
    """Note [Soft or hard]: anymail calls both "bounced". A full mailbox that is listed gets nothing for ever, and one
    that is gone and not listed bounces once more: so only what is sure counts."""
    said = f"{event.mta_response or ''} {event.description or ''}"
    return (
        event.reject_reason == RejectReason.INVALID
        or bool(NO_MAILBOX.search(said))
        or _says_hard(event.esp_event)
    )


def _says_hard(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    return any(
        _says_hard(value) or (name in HARD and isinstance(value, str | bool) and value in HARD[name])
        for name, value in part.items()
    )


def _notification(event: AnymailTrackingEvent) -> UUID | None:
    """By the metadata that went out with it, or by its Message-ID, where the provider reports ours."""
    found = re.match(r"<?([0-9a-f-]{36})@", event.message_id or "")
    try:
        return UUID((event.metadata or {}).get(METADATA) or (found[1] if found else ""))
    except (ValueError, AttributeError):  # somebody else's
        return None
