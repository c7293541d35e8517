"""What goes into the statements and what comes out of them, the same on every database."""

from dataclasses import dataclass
from datetime import datetime, timedelta

NOTIFICATION = "notifications_notification"
ATTEMPT = "notifications_attempt"
SUPPRESSION = "notifications_suppression"
# The attributes of a new notification, which are its columns too.
INSERTED = [
    "id",
    "recipient",
    "subject",
    "message",
    "html",
    "category",
    "channel",
    "via",
    "status",
    "task_id",
    "owner_id",
    "dedupe_key",
    "resend_of",
    "request_id",
    "due_at",
]


# Neither is frozen, for that would treble what it costs to make one. Nobody changes them.
@dataclass(slots=True)
class Claim:
    """A notification that is ours to send until the lease passes. `attempt` is the fencing token.

    With `suppressed` it is not: its recipient is on the suppression list, and it has been cancelled for that reason.
    """

    id: str
    recipient: str
    subject: str
    message: str
    channel: str
    created_at: datetime
    due_at: datetime
    claimed_at: datetime
    attempt: int
    request_id: str = ""
    html: str = ""
    category: str = ""
    suppressed: str = ""


@dataclass(slots=True)
class Record:
    """What an attempt came to, and where its notification goes from here."""

    id: str
    channel: str
    attempt: int
    started_at: datetime
    finished_at: datetime
    outcome: str  # models.Outcome
    status: str  # models.Status
    error: str = ""
    next_attempt_at: datetime | None = None  # when to try again; None when it is final
    task_id: str = ""  # of the entry that will try again
    request_id: str = ""  # for the log
    code: str = ""  # this and the rest: see models.Attempt
    response: str = ""
    phase: str = ""
    duration: float | None = None  # seconds
    sent_to: str = ""
    reason: str = ""  # why it is cancelled
    bounced: bool = False  # its address goes on the suppression list


# What an Attempt row takes from a record as it is.
DETAILS = ["error", "code", "response", "phase", "duration", "sent_to"]


def seconds(lease: timedelta) -> str:
    """An interval for PostgreSQL, a modifier of strftime() for SQLite."""
    return f"+{lease.total_seconds()} seconds"
