"""The sweep: find what nobody is working on any more, and hand it to the queue.

Three things may strand a notification, none of them loses it:
- its worker died while sending: the lease passes (`lost`);
- its queue entry is gone, or it waited in a web process that died (`stranded`);
- it has killed its worker as often as it may be tried, and ends as failed; or its channel holds what may have arrived,
  and it ends as unknown (`given up`).

Any number of clusters may sweep; one does at a time, and a sweep that runs twice changes nothing.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import DateTimeField, Value
from django.db.models.functions import Least, Now
from django.tasks import default_task_backend

from .backends.enqueueing import missing
from .channels import channels
from .conf import notification_settings
from .delivery import settle
from .models import Notification, Outcome, Status, database
from .retry import RetryPolicy
from .schedule import Due, Reschedule
from .signals import recovered
from .statements import Record

logger = logging.getLogger("notifications.recovery")

PAGE = 500  # rows a sweep handles in one transaction
SWEEP_LOCK = 7203174159862204711  # PostgreSQL's advisory lock of this sweep: any number nobody else uses


@dataclass(frozen=True, slots=True)
class Recovered:
    """Ids, by what had happened to them."""

    lost: list[str] = field(default_factory=list)
    stranded: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.stranded or self.given_up)


def recover(deliver_later: Reschedule, deliver_alone_later: Reschedule, *, dry_run: bool) -> Recovered:
    """One sweep. With `dry_run` it only says what it would do."""
    using = database()
    found = Recovered()
    # Read first: a sweep that finds nothing writes nothing, and locks nothing.
    while records := _abandoned(using):
        if dry_run:
            _sort(records, found)
            break
        with transaction.atomic(using=using):
            if not _alone(using):
                break
            records = _abandoned(using)
            # One that comes back is never merged with others again: it may be what killed the worker.
            settle(records, deliver_alone_later, using)
            _sort(records, found)
    for page in _stranded():
        found.stranded.extend(
            due.id for due in (page if dry_run else _enqueue_again(page, deliver_later, using))
        )
    if found and not dry_run:
        recovered.send_robust(sender=None, lost=found.lost, stranded=found.stranded, given_up=found.given_up)
    return found


def _alone(using: str) -> bool:
    """Whether this is the only sweep until the transaction ends. SQLite has one writer anyway."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SWEEP_LOCK])
        return bool(cursor.fetchone()[0])


def _abandoned(using: str) -> list[Record]:
    """The attempts whose lease has passed, as they are to be recorded."""
    # In the order of their index: in that of `id` SQLite would read the whole table by its primary key.
    rows = Notification.objects.using(using).abandoned().order_by("lease_expires_at").annotate(now=Now())
    return [_lost(row, row.now) for row in rows[:PAGE]]


def _lost(row: Notification, now: datetime) -> Record:
    assert row.claimed_at is not None
    policy, hold = RetryPolicy(), False
    if row.channel in channels:
        channel = channels[row.channel]
        policy, hold = RetryPolicy.from_options(channel.retry), channel.holds_unknown
    delay = None if hold else policy.delay(row.attempt_count, age=now - row.due_at)
    status = Status.QUEUED if delay is not None else Status.UNKNOWN if hold else Status.FAILED
    return Record(
        id=str(row.pk),
        channel=row.channel,
        attempt=row.attempt_count,
        started_at=row.claimed_at,
        finished_at=now,
        outcome=Outcome.LOST.value,
        status=status.value,
        error="The worker stopped while sending. Nobody knows how far it came.",
        next_attempt_at=None if delay is None else now + delay,
    )


def _sort(records: Sequence[Record], found: Recovered) -> None:
    for record in records:
        (found.lost if record.next_attempt_at else found.given_up).append(record.id)


def _stranded() -> Iterator[list[Due]]:
    """Pages of queued notifications whose turn has passed and whose queue entry is gone.

    Note [Whose turn has passed]: workers take the oldest entry first, so only a row that is older than the
    oldest waiting entry can have lost its own. That keeps a sweep cheap while a million of them wait: it looks
    at none. A row whose entry was lost in the middle of that backlog is found when its turn comes.
    """
    before: Any = Now() - notification_settings().lease
    waiting_since = getattr(default_task_backend, "waiting_since", lambda: None)()
    if waiting_since is not None:  # one bound, for of two SQLite takes either, and reads the backlog up to it
        before = Least(before, Value(waiting_since), output_field=DateTimeField())
    overdue = Notification.objects.filter(status=Status.QUEUED, next_attempt_at__lt=before)
    # Found by their own small index, and only then put in order: SQLite would read the whole table in that order.
    rows = Notification.objects.filter(pk__in=overdue.values("pk"))
    after = None
    while True:
        page = rows.order_by("id").values_list("id", "next_attempt_at", "task_id", "channel")
        found = list((page.filter(id__gt=after) if after else page)[:PAGE])
        if not found:
            return
        gone = missing([task_id for _, _, task_id, _ in found])
        yield [Due(str(id), channel, at) for id, at, task_id, channel in found if at and task_id in gone]
        after = found[-1][0]


def _enqueue_again(page: Sequence[Due], deliver_later: Reschedule, using: str) -> Sequence[Due]:
    """Returns those that still waited: an entry is gone as well when its work has just been done."""
    if not page:
        return []
    with transaction.atomic(using=using):
        rows = {
            str(row.pk): row
            for row in Notification.objects.using(using)
            .filter(pk__in=[due.id for due in page], status=Status.QUEUED)
            .select_for_update()
            .order_by("pk")
        }
        again = [due for due in page if due.id in rows]
        for due, task_id in zip(again, deliver_later(again), strict=True):
            rows[due.id].task_id = task_id
        Notification.objects.using(using).bulk_update(rows.values(), ["task_id"])
    return again
