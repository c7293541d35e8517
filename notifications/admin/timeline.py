"""The way of one notification, step by step, as its page shows it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from ..figures import spoken
from ..masking import masked, without_addresses
from ..models import Attempt, Notification, Status


@dataclass(frozen=True, slots=True)
class Step:
    at: datetime
    title: str
    kind: str  # a class of the stylesheet
    after: str = ""  # since the step before
    details: tuple[tuple[str, str], ...] = ()
    text: str = ""

    @property
    def shown_at(self) -> str:
        """To the millisecond: no channel is so quick that more would tell anything."""
        return timezone.localtime(self.at).isoformat(" ", "milliseconds")[:23]


def timeline(notification: Notification, *, unmasked: bool) -> list[Step]:
    """Accepted, due, each attempt begun and ended, and what is expected next."""
    steps: list[Step] = []
    for step in _steps(notification, unmasked):
        gap = step.at - steps[-1].at if steps else timedelta()
        after = f"{spoken(gap)} later" if steps and gap >= timedelta() else ""
        steps.append(Step(step.at, step.title, step.kind, after, step.details, step.text))
    return steps


def _steps(notification: Notification, unmasked: bool) -> Iterator[Step]:
    yield Step(notification.created_at, "accepted", "done", details=_present(via=notification.via))
    waits = notification.status == Status.QUEUED
    if notification.due_at > notification.created_at:
        kind = "next" if waits and not notification.history else "done"
        yield Step(notification.due_at, "due", kind)
    for attempt in notification.history:
        yield Step(attempt.started_at, f"claimed for attempt {attempt.number}", "done")
        if attempt.finished_at:
            yield _ended(attempt, attempt.finished_at, unmasked)
    last = notification.history[-1].finished_at if notification.history else None
    if notification.status == Status.CANCELLED and notification.finished_at:
        yield Step(notification.finished_at, "cancelled", "again", text=notification.reason)
    elif notification.finished_at and notification.finished_at != last:
        yield Step(notification.finished_at, notification.status, notification.status)
    if waits and notification.next_attempt_at and notification.next_attempt_at > notification.due_at:
        yield Step(notification.next_attempt_at, "next attempt", "next")


def _ended(attempt: Attempt, at: datetime, unmasked: bool) -> Step:
    def plain(text: str) -> str:
        return text if unmasked else without_addresses(text)

    kind = attempt.outcome if attempt.outcome in ("sent", "failed") else "again"
    sent_to = attempt.sent_to if unmasked or not attempt.sent_to else masked(attempt.sent_to)
    took = spoken(attempt.duration) if attempt.duration is not None else ""
    details = _present(
        code=attempt.code, phase=attempt.phase, took=took, sent_to=sent_to, response=plain(attempt.response)
    )
    return Step(at, f"attempt {attempt.number}: {attempt.outcome}", kind, "", details, plain(attempt.error))


def _present(**details: str) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", " "), value) for name, value in details.items() if value)
