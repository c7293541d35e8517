"""The operator's overview: is it healthy, what waits, what became of the last hour, and why things failed.

It costs the same with a thousand rows or ten million: what may be many is counted to a bound, and what has happened
is looked up in the newest attempts by their ids. A snapshot is twelve queries at most, and no lock.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import CharField, Count, Exists, F, Max, OuterRef, QuerySet
from django.db.models.functions import Cast, Now, Substr

from . import health
from .clock import database_now
from .figures import BOUND, Counted, Late, Minute, Reason, Snapshot, Worker, percentiles
from .models import Attempt, Notification, Outcome, Status

HOUR = timedelta(hours=1)
NEWEST_ATTEMPTS = 50_000  # that the last hour is looked up in
NEIGHBOURS = 1_000  # before them, of which none is of the last hour if there are no more
NEWEST_TIMES = 5_000  # that percentiles are made of
NEWEST_FAILURES = 1_000  # that reasons are found in
OLDEST_WAITING = 200  # that late scheduled ones are found in
SHOWN = 8  # reasons, late ones


def snapshot() -> Snapshot:
    """How things are now."""
    queued = Notification.objects.filter(status=Status.QUEUED)
    waiting = queued.filter(next_attempt_at__lte=Now()).order_by("next_attempt_at")
    first = waiting.annotate(now=Now()).values_list("next_attempt_at", "now").first()
    at = database_now(Notification.objects.db)
    newest = Attempt.objects.aggregate(newest=Max("pk"))["newest"] or 0
    minutes, since = _minutes(newest, at)
    reasons, failures = _reasons()
    return Snapshot(
        at=at,
        queued=_count(waiting),
        scheduled=_count(queued.filter(next_attempt_at__gt=Now())),
        sending=_count(Notification.objects.filter(status=Status.SENDING)),
        unknown=_count(Notification.objects.filter(status=Status.UNKNOWN)),
        oldest=max(first[1] - first[0], timedelta()) if first and first[0] else None,
        workers=_workers(at),
        minutes=minutes,
        since=since,
        percentiles=percentiles(_times(newest)),
        reasons=reasons,
        failures=failures,
        late=_late(waiting),
    )


def _count(rows: QuerySet) -> Counted:
    return Counted(rows.order_by().values("pk")[: BOUND + 1].count())


def _workers(at: datetime) -> list[Worker] | None:
    heard = health.heartbeats()
    if heard is None:
        return None
    return sorted(
        (Worker(beat.worker, max(at - beat.seen_at, timedelta())) for beat in heard), key=lambda w: w.silent
    )


def _minutes(newest: int, at: datetime) -> tuple[list[Minute], datetime | None]:
    first = newest - NEWEST_ATTEMPTS
    recent = Attempt.objects.filter(pk__gt=first, finished_at__gte=Now() - HOUR)
    # A text, because it is the same on both databases, and SQLite truncates no times without calling Python.
    minute = Substr(Cast("finished_at", CharField()), 1, 16)
    found = recent.annotate(minute=minute).values_list("minute", "outcome").annotate(Count("pk")).order_by()
    counts: dict[datetime, Counter[str]] = {}
    for text, outcome, count in found:
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        counts.setdefault(moment, Counter())[outcome] += count
    since = min(counts) if first > 0 and counts and _of_the_hour_before(first).exists() else None
    now = at.replace(second=0, microsecond=0)
    minutes = []
    for moment in (now - timedelta(minutes=back) for back in reversed(range(60))):
        of = counts.get(moment, Counter())
        sent, failed = of[Outcome.SENT], of[Outcome.FAILED]
        minutes.append(Minute(moment, sent, failed, of.total() - sent - failed))
    return minutes, since


def _of_the_hour_before(first: int) -> QuerySet[Attempt]:
    """Attempts of this hour that are not among the newest. A few neighbours tell: else all there are would be read."""
    return Attempt.objects.filter(pk__gt=first - NEIGHBOURS, pk__lte=first, finished_at__gte=Now() - HOUR)


def _times(newest: int) -> list[float]:
    recent = Attempt.objects.filter(
        pk__gt=newest - NEWEST_TIMES, outcome=Outcome.SENT, finished_at__gte=Now() - HOUR
    )
    pairs = recent.values_list("notification__due_at", "finished_at")
    return [max((finished - due).total_seconds(), 0) for due, finished in pairs if finished]


def _reasons() -> tuple[list[Reason], int]:
    """Why what is failed, and not resent, has failed: by channel, and by code or, without one, by text."""
    again = Notification.objects.filter(resend_of=OuterRef("pk"))
    failed = Notification.objects.filter(~Exists(again), status=Status.FAILED).order_by("-pk")
    last = Attempt.objects.filter(
        notification__in=failed.values("pk")[:NEWEST_FAILURES], number=F("notification__attempt_count")
    )
    found = list(last.values_list("notification__channel", "code", "error", "pk").order_by())
    counts = Counter((channel, code or error) for channel, code, error, _ in found)
    example = {(channel, code or error): (code, error, pk) for channel, code, error, pk in found}
    reasons = []
    for (channel, key), count in counts.most_common(SHOWN):
        code, error, pk = example[channel, key]
        reasons.append(Reason(channel, code, error, count, pk))
    return reasons, len(found)


def _late(waiting: QuerySet[Notification]) -> list[Late]:
    """Scheduled for a time that has passed, and not begun."""
    rows = waiting.annotate(now=Now())[:OLDEST_WAITING]
    found: Sequence[Any] = [row for row in rows if not row.attempt_count and row.due_at > row.created_at]
    return [Late(str(row.pk), row.channel, row.now - row.due_at) for row in found[:SHOWN]]
