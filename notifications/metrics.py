"""What Prometheus is told. The process counts requests; what is in the database is asked for when it is scraped.

Note [Many processes]: under gunicorn each worker answers some of the scrapes, so what a process counts lies in
files of PROMETHEUS_MULTIPROC_DIR (gunicorn.conf.py makes it), and every scrape reads them all (`tallies.py`). What the
database knows needs no such thing: queue and attempts are the same whoever asks, and count the workers of all hosts.
"""

import os
from collections.abc import Iterator
from datetime import timedelta

from django.db import IntegrityError, router, transaction
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Now
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from . import health, tallies
from .background.pool import existing_pool
from .clock import database_now
from .models import Attempt, AttemptTotal, Notification, Status

# An attempt is counted when it is that old: by then no transaction is still open that took a lower id.
SETTLED_AFTER = timedelta(seconds=10)
# Ids: nobody should wait for the lock while millions are counted for the first time.
COUNTED_AT_ONCE = 100_000

_process = CollectorRegistry()

request_seconds = Histogram(
    "http_request_duration_seconds",
    "From the first middleware to the answer, by method, route and status.",
    ["method", "route", "status"],
    registry=_process,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    asked = CollectorRegistry()
    asked.register(Asked())
    return _counted() + generate_latest(asked)


def _counted() -> bytes:
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # Note [Many processes]
    if folder is None:
        return generate_latest(_process)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    with tallies.reading(folder):
        return generate_latest(registry)


class Asked(Collector):
    """What is looked up at the scrape."""

    def collect(self) -> Iterator[Metric]:
        yield from self._queue()
        yield self._attempts()
        yield self._workers()
        yield from self._pool()

    def describe(self) -> list[Metric]:
        return []  # else registering would ask the database

    def _queue(self) -> Iterator[Metric]:
        """By the small indexes of what is unfinished."""
        due = Q(next_attempt_at__lte=Now())
        queued = Notification.objects.filter(status=Status.QUEUED).aggregate(
            due=Count("pk", filter=due),
            scheduled=Count("pk", filter=~due),
            oldest=Min("next_attempt_at", filter=due),
        )
        depth = GaugeMetricFamily("notifications_unfinished", "Notifications, by state.", labels=["state"])
        depth.add_metric(["due"], queued["due"])
        depth.add_metric(["scheduled"], queued["scheduled"])
        for status in (Status.SENDING, Status.UNKNOWN):
            depth.add_metric([status.value], Notification.objects.filter(status=status).count())
        yield depth
        age = (database_now() - queued["oldest"]).total_seconds() if queued["oldest"] else 0
        yield GaugeMetricFamily(
            "notifications_oldest_due_seconds", "For how long the oldest due one has waited.", max(age, 0)
        )

    def _attempts(self) -> Metric:
        family = CounterMetricFamily(
            "notifications_attempts", "Attempts, by channel and outcome.", labels=["channel", "outcome"]
        )
        for total in count_attempts():
            family.add_metric([total.channel, total.outcome], total.count)
        return family

    def _workers(self) -> Metric:
        family = GaugeMetricFamily(
            "notifications_worker_silence_seconds", "Since a worker was last heard of.", labels=["worker"]
        )
        now = database_now()
        for beat in health.heartbeats() or ():
            silence = (now - beat.seen_at).total_seconds()
            family.add_metric([beat.worker], max(silence, 0))
        return family

    def _pool(self) -> Iterator[Metric]:
        """Of the process that answers this scrape: its label says which."""
        pool = existing_pool()
        if pool is not None:
            family = GaugeMetricFamily(
                "background_pool_tasks", "Tasks of the thread pool, by state.", labels=["pid", "state"]
            )
            for state, count in pool.usage().items():
                family.add_metric([str(os.getpid()), state], count)
            yield family


def count_attempts() -> list[AttemptTotal]:
    """Add what has been recorded since the last call to the totals, and return them. Any process may call it."""
    using = router.db_for_write(AttemptTotal)
    try:
        more = True
        while more:
            with transaction.atomic(using=using):
                totals, more = _count_attempts(using)
    except IntegrityError:  # another process has just made the first rows: its totals are as good
        return list(AttemptTotal.objects.using(using))
    return totals


def _count_attempts(using: str) -> tuple[list[AttemptTotal], bool]:
    """The totals with what was new, and whether there is more of it."""
    # The lock makes processes take turns; every row is written, so that whoever waited sees how far we came.
    totals = {
        (total.channel, total.outcome): total
        for total in AttemptTotal.objects.using(using).select_for_update().order_by("pk")
    }
    counted_to = max((total.counted_to for total in totals.values()), default=0)
    new = Attempt.objects.using(using).filter(pk__gt=counted_to)
    first = new.order_by("pk").values_list("pk", flat=True).first()
    if first is None:
        return list(totals.values()), False
    settled = Q(finished_at__lte=Now() - SETTLED_AFTER)
    some = new.filter(pk__lt=first + COUNTED_AT_ONCE)
    unsettled = some.exclude(settled).aggregate(first=Min("pk"))["first"]
    if unsettled:
        some = some.filter(pk__lt=unsettled)
    # A row and not the number below `unsettled`: that one may belong to a transaction that is open.
    end = some.aggregate(last=Max("pk"))["last"]
    if end is None:
        return list(totals.values()), False
    counts = some.values_list("notification__channel", "outcome").annotate(Count("pk"))
    for channel, outcome, count in counts.order_by():
        total = totals.setdefault((channel, outcome), AttemptTotal(channel=channel, outcome=outcome))
        total.count += count
    for total in totals.values():
        total.counted_to = end
        total.save(using=using)
    more = not unsettled and new.filter(pk__gt=end).exists()
    return list(totals.values()), more
