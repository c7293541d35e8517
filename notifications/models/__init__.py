"""What is kept: notifications and their attempts, and what the door needs to know who may come in, and how often."""

from .attempt import Attempt, Outcome
from .bulk import BulkAction, Kind
from .heartbeat import Heartbeat
from .idempotency import IdempotencyKey
from .limits import RecipientCount
from .notification import (
    FINAL,
    SETTLED,
    Notification,
    NotificationQuerySet,
    Status,
    database,
    new_id,
)
from .overview import Overview
from .pace import ChannelPace
from .suppression import Suppression, SuppressionReason
from .token import Token
from .totals import AttemptTotal

__all__ = [
    "FINAL",
    "SETTLED",
    "Attempt",
    "AttemptTotal",
    "BulkAction",
    "ChannelPace",
    "Heartbeat",
    "IdempotencyKey",
    "Kind",
    "Notification",
    "NotificationQuerySet",
    "Outcome",
    "Overview",
    "RecipientCount",
    "Status",
    "Suppression",
    "SuppressionReason",
    "Token",
    "database",
    "new_id",
]
