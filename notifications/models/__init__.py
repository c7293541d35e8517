"""What is kept: notifications and their attempts, and what the door needs to know who may come in, and how often."""

from .idempotency import IdempotencyKey
from .limits import RecipientCount
from .notification import (
    FINAL,
    Attempt,
    Notification,
    NotificationQuerySet,
    Outcome,
    Status,
    database,
    new_id,
)
from .token import Token

__all__ = [
    "FINAL",
    "Attempt",
    "IdempotencyKey",
    "Notification",
    "NotificationQuerySet",
    "Outcome",
    "RecipientCount",
    "Status",
    "Token",
    "database",
    "new_id",
]
