"""Limits of a channel that hold over all workers and clusters: `CHANNELS[alias]["LIMITS"]`.

    "LIMITS": {"MAX_PER_SECOND": 10, "MAX_CONCURRENT": 4}

Note [Give everybody a time]: what may not be sent now is given a time of its own, once, and its queue entry
comes back at that time. Whoever only tried again later would meet the whole backlog at each try. The times
are spaced by the rate (the leaky bucket as a meter, with no burst); for MAX_CONCURRENT they are spaced by how long a
send took of late, and the count decides when the time has come.

Note [A time that has passed]: a worker sees a time a little late, and what has just had its time is sent. Past GRACE it
has missed it, and is given another like whoever comes new: after a stop of all clusters, all that should have been sent
meanwhile would go at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from . import suppression
from .channels import channels
from .models import ChannelPace, Notification, NotificationQuerySet, Status
from .schedule import Due, Reschedule
from .statements import Claim

SMOOTHING = 0.2  # the share of the newest send in the average
GRACE = timedelta(seconds=0.5)  # Note [A time that has passed]. A worker looks every 0.2 s


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit of this kind."""

    max_per_second: float | None = None
    max_concurrent: int | None = None

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Self:
        """Raises ValueError naming the option that is unknown, or that makes no sense."""
        names = {field.name.upper(): field.name for field in fields(cls)}
        if unknown := options.keys() - names.keys():
            raise ValueError(f"unknown option {sorted(unknown)[0]!r}; known are {', '.join(sorted(names))}")
        for name, value in options.items():
            if not isinstance(value, int | float) or not value > 0:  # a NaN is not
                raise ValueError(f"{name} must be a number greater than 0")
        if options.get("MAX_CONCURRENT", 1) % 1:
            raise ValueError("MAX_CONCURRENT must be a whole number")
        return cls(**{names[name]: value for name, value in options.items()})


def claim(ids: Sequence[str], lease: timedelta, using: str, reschedule: Reschedule) -> list[Claim]:
    """`suppression.claim`, less what the limits of its channel put off. Costs nothing where nothing is limited."""
    limited = _limited()
    if not limited:
        return suppression.claim(ids, lease, using)
    with transaction.atomic(using=using):
        put_off: set[str] = set()
        for alias, waiting in _waiting(ids, limited, using).items():
            put_off |= _put_off(alias, limited[alias], waiting, reschedule, using)
        return suppression.claim([id for id in ids if id not in put_off], lease, using)


def learn(channel: str, seconds: float, using: str) -> None:
    """A send of this channel took so long."""
    limits = _limited().get(channel)
    if limits is not None and limits.max_concurrent:
        average = F("seconds") * (1 - SMOOTHING) + seconds * SMOOTHING
        ChannelPace.objects.using(using).filter(channel=channel).update(seconds=average)


def _limited() -> dict[str, Limits]:
    found = {alias: channels[alias].limits for alias in channels.settings if channels[alias].limits}
    return {alias: Limits.from_options(options) for alias, options in sorted(found.items())}


def _waiting(ids: Iterable[str], limited: Iterable[str], using: str) -> dict[str, list[Notification]]:
    """Those of `ids` that a limit may put off, by channel, the oldest first."""
    rows = _by_id(ids, using).filter(next_attempt_at__lte=Now(), channel__in=list(limited))
    found: dict[str, list[Notification]] = {}
    for row in rows.only("id", "channel", "next_attempt_at", "slot_at").order_by("channel", "id"):
        found.setdefault(row.channel, []).append(row)
    return found


def _by_id(ids: Iterable[str], using: str) -> NotificationQuerySet:
    """Those that are queued. See Note [By id, whatever the statistics say] in `statements.postgresql`."""
    others = [status for status in Status if status != Status.QUEUED]
    return Notification.objects.using(using).filter(pk__in=list(ids)).exclude(status__in=others)


def _put_off(
    alias: str, limits: Limits, waiting: list[Notification], reschedule: Reschedule, using: str
) -> set[str]:
    """Give a time of its own to each that may not be sent now, and say which they are."""
    pace = Pace(alias, limits, using)
    later = [row for row in waiting if not pace.admits(row)]
    for row in later:
        row.slot_at = row.next_attempt_at = pace.next_slot()
    pace.save()
    if later:
        dues = [Due(str(row.pk), alias, row.slot_at) for row in later if row.slot_at]
        for row, task_id in zip(later, reschedule(dues), strict=True):
            row.task_id = task_id
        Notification.objects.using(using).bulk_update(later, ["slot_at", "next_attempt_at", "task_id"])
    return {str(row.pk) for row in later}


class Pace:
    """The limits of one channel at this moment, locked for this transaction."""

    def __init__(self, alias: str, limits: Limits, using: str) -> None:
        rows = ChannelPace.objects.using(using)
        rows.bulk_create([ChannelPace(channel=alias, free_at=Now())], ignore_conflicts=True)
        self.row = rows.select_for_update().annotate(now=Now()).get(channel=alias)
        self.now: datetime = self.row.now
        self.row.free_at = max(self.row.free_at, self.now)
        self.per_second = limits.max_per_second
        self.max_concurrent = limits.max_concurrent
        if self.max_concurrent:
            sending = Notification.objects.using(using).filter(status=Status.SENDING, channel=alias)
            self.room = max(int(self.max_concurrent) - sending.count(), 0)

    def admits(self, row: Notification) -> bool:
        """Whether it may be sent now. A time that was given is kept: who waited for it needs no other."""
        if self.max_concurrent and not self.room:
            return False
        # One of another time was for an attempt before.
        slot = row.slot_at if row.slot_at == row.next_attempt_at else None
        if self.per_second and (slot is None or slot < self.now - GRACE):
            if self.row.free_at > self.now:
                return False
            self.row.free_at += timedelta(seconds=1 / self.per_second)
        if self.max_concurrent:
            self.room -= 1
        return True

    def next_slot(self) -> datetime:
        slot = max(self.row.free_at, self.now)
        by_rate = 1 / self.per_second if self.per_second else 0
        by_room = self.row.seconds / self.max_concurrent if self.max_concurrent else 0
        self.row.free_at = slot + timedelta(seconds=max(by_rate, by_room))
        return slot

    def save(self) -> None:
        self.row.save(update_fields=["free_at"])
