"""What became of a notification as bars on one scale, for browsers that run no script. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..models import Notification

MILLISECOND = timedelta(milliseconds=1)
LEAST = timedelta(milliseconds=10)  # the length of the scale


@dataclass(frozen=True, slots=True)
class Bar:
    name: str  # "queued", "sending", or the final status
    begin: float  # milliseconds after the notification was accepted
    length: float  # milliseconds
    left: str  # percent of the scale
    width: str


def bars(notification: Notification, now: datetime) -> list[Bar]:
    """One bar for each time it waited and each attempt, and one without length for its end."""
    start = notification.created_at
    scale = max((notification.finished_at or now) - start, LEAST)
    return [
        Bar(
            name=name,
            begin=(begin - start) / MILLISECOND,
            length=(end - begin) / MILLISECOND,
            left=f"{100 * ((begin - start) / scale):.3f}%",
            width=f"{100 * ((end - begin) / scale):.3f}%",
        )
        for name, begin, end in _phases(notification, now)
    ]


def _phases(notification: Notification, now: datetime) -> Iterator[tuple[str, datetime, datetime]]:
    since = notification.created_at
    for attempt in notification.history:
        yield "queued", since, max(since, attempt.started_at)
        since = attempt.finished_at or max(now, attempt.started_at)
        yield "sending", attempt.started_at, since
    if notification.finished_at:
        yield notification.status, notification.finished_at, notification.finished_at
    elif notification.status == "queued":
        yield "queued", since, max(since, now)
