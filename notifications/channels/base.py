"""What a channel is: a way out, configured by alias in CHANNELS. One file, one settings entry, one test.

CHANNELS = {"log": {"BACKEND": "notifications.channels.log.LogChannel", "OPTIONS": {"path": "log.txt"}}}
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.core.checks import CheckMessage

from ..exceptions import DeliveryError

logger = logging.getLogger("notifications.channels")


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel sends. `id` is the notification's and the same on every attempt."""

    id: str
    recipient: str
    subject: str
    body: str
    created_at: datetime
    attempt: int  # 1 for the first
    html: str = ""  # the body once more, for channels that can show it
    category: str = ""  # what one can unsubscribe from
    meant_for: str = ""  # the recipient it was accepted for, where it is redirected to `recipient`
    due_at: datetime | None = None  # what it was scheduled for; otherwise `created_at`, or None


@dataclass(frozen=True, slots=True)
class SendResult:
    """What sending one message came to."""

    sent: bool
    error: str = ""
    permanent: bool = False
    retry_after: timedelta | None = None
    unknown: bool = False  # not sent, as far as one can tell; but it may have arrived
    code: str = ""  # this and the rest: what the other side said, kept on the attempt
    response: str = ""
    phase: str = ""
    duration: float | None = None  # seconds; None: the batch's time, divided
    bounced: bool = False  # there is nobody at this address: it goes on the suppression list
    reason: str = ""  # not sent, and never to be: why its notification is cancelled
    sent_to: str = ""  # who got it instead of the recipient

    @classmethod
    def of(cls, error: DeliveryError) -> Self:
        return cls(
            sent=False,
            error=str(error),
            permanent=error.permanent,
            retry_after=error.retry_after,
            unknown=error.unknown,
            code=error.code,
            response=error.response,
            phase=error.phase,
            bounced=error.bounced,
        )


SENT = SendResult(sent=True)


class BaseChannel:
    """Subclasses implement `send_one`, or `send` if many messages at once are cheaper than one by one."""

    # Sending waits on the network: each message is sent on a thread of its own, and no quick channel waits for it.
    # False: a batch is one call of `send`.
    concurrent = False

    # Of a concurrent channel: several at once are cheaper, because they share a connection. A thread takes ten of them
    # at a time, and goes on with more inside of `together()`.
    batch = False

    # Writes to people's e-mail addresses: what is for one on the suppression list is cancelled instead of sent, and
    # NOTIFICATIONS_REDIRECT_TO and NOTIFICATIONS_ALLOWED_RECIPIENTS hold.
    suppressible = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        self.alias = alias
        self.options: dict[str, Any] = params.get("OPTIONS", {})
        self.retry: dict[str, Any] = params.get("RETRY", {})
        self.limits: dict[str, Any] = params.get("LIMITS", {})
        # What becomes of a message that may have arrived, or not: "retry" (it may arrive twice) or "hold"
        # (it waits for somebody to decide).
        self.unknown: str = params.get("UNKNOWN", "retry")

    @property
    def holds_unknown(self) -> bool:
        return self.unknown == "hold"

    def clean_recipient(self, recipient: str) -> str:
        """The recipient in the one form that is stored.

        Raises django.core.exceptions.ValidationError, whose message never repeats the address.
        """
        return recipient

    def send(self, messages: Sequence[Message]) -> list[SendResult]:
        """Send all of them. One result for each message, in order; one that fails never stops the others.

        Raising instead says that none of them was sent: all are tried again, those that had gone out too. So
        an override catches what goes wrong with one message, and makes it that message's result.
        """
        return [self._guarded(message) for message in messages]

    def together(self) -> AbstractContextManager[None]:
        """Around several calls of `send`, on one thread: what they can share stays open in between."""
        return nullcontext()

    def send_one(self, message: Message) -> None:
        """Send one message, or raise DeliveryError."""
        raise NotImplementedError("A channel implements send_one() or send().")

    def check(self) -> list[CheckMessage]:
        """What is wrong with the options, for the system checks at start."""
        return []

    def _guarded(self, message: Message) -> SendResult:
        try:
            self.send_one(message)
        except DeliveryError as error:
            return SendResult.of(error)
        return SENT
