"""What the operator's overview shows, and the verdict: pure values, no query."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from .health import MAX_SILENCE

BOUND = 10_000  # nothing is counted further
WARNING_AFTER, CRITICAL_AFTER = timedelta(seconds=120), timedelta(seconds=300)  # of the oldest that waits
FEW_SENT = 0.95  # of the finished ones: below it somebody should look


@dataclass(frozen=True, slots=True)
class Counted:
    """A number, or BOUND and more."""

    number: int

    @property
    def exceeds(self) -> bool:
        return self.number > BOUND

    def __str__(self) -> str:
        number = f"{min(self.number, BOUND):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
        return f"{number}+" if self.exceeds else number


@dataclass(frozen=True, slots=True)
class Minute:
    at: datetime
    sent: int = 0
    failed: int = 0  # given up
    again: int = 0  # could not be sent, or nobody knows; it is tried again or somebody decides


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds from when it was due (accepted, unless scheduled) to sent."""

    p50: float
    p95: float
    p99: float
    of: int


@dataclass(frozen=True, slots=True)
class Reason:
    channel: str
    code: str
    error: str
    count: int
    attempt: int  # one of them, by its id


@dataclass(frozen=True, slots=True)
class Late:
    id: str
    channel: str
    by: timedelta

    @property
    def spoken(self) -> str:
        return spoken(self.by)


@dataclass(frozen=True, slots=True)
class Worker:
    name: str
    silent: timedelta

    @property
    def lives(self) -> bool:
        return self.silent < MAX_SILENCE

    @property
    def spoken(self) -> str:
        return spoken(self.silent)


@dataclass(frozen=True, slots=True)
class Light:
    """`level` is "healthy", "warning" or "critical"; `because` is why, the worst first."""

    level: str
    sentence: str
    because: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Snapshot:
    at: datetime
    queued: Counted
    scheduled: Counted
    sending: Counted
    unknown: Counted
    oldest: timedelta | None  # for how long the oldest due one has waited; None: nothing waits
    workers: list[Worker] | None  # None: this backend has none
    minutes: list[Minute]  # the sixty up to now
    since: datetime | None  # the minutes before it are not known: there were too many attempts
    percentiles: Percentiles | None
    reasons: list[Reason]
    failures: int  # that `reasons` were found in
    late: list[Late]

    @property
    def sent(self) -> int:
        return sum(minute.sent for minute in self.minutes)

    @property
    def failed(self) -> int:
        return sum(minute.failed for minute in self.minutes)

    @property
    def light(self) -> Light:
        return judge(
            oldest=self.oldest,
            workers=None if self.workers is None else sum(worker.lives for worker in self.workers),
            sent=self.sent,
            failed=self.failed,
            unknown=self.unknown,
        )


def judge(
    *, oldest: timedelta | None, workers: int | None, sent: int, failed: int, unknown: Counted
) -> Light:
    """Pure: the traffic light, and one sentence for it."""
    critical, warning = [], []
    if oldest is not None and oldest >= CRITICAL_AFTER:
        critical.append(f"The oldest has waited for more than {CRITICAL_AFTER.seconds} s.")
    elif oldest is not None and oldest >= WARNING_AFTER:
        warning.append(f"The oldest has waited for more than {WARNING_AFTER.seconds} s.")
    if workers == 0:
        (warning if oldest is None else critical).append(
            "No worker has been heard of: start one (manage.py doctor says how)."
        )
    share = sent / (sent + failed) if sent + failed else None
    if share is not None and share < FEW_SENT:
        warning.append(f"Less than {FEW_SENT:.0%} were sent in the last hour.")
    if unknown.number:
        warning.append(f"{unknown} may have arrived or not: somebody has to decide.")
    level = "critical" if critical else "warning" if warning else "healthy"
    parts = ["nothing waits" if oldest is None else f"oldest waiting {spoken(oldest)}"]
    if workers is not None:
        parts.append("no worker" if not workers else f"{workers} worker{'s' if workers > 1 else ''}")
    parts.append(
        "nothing sent in the last hour" if share is None else f"{percent(share)} sent in the last hour"
    )
    return Light(level, f"{level.capitalize()}: {', '.join(parts)}", critical + warning)


def percentiles(times: Iterable[float]) -> Percentiles | None:
    """Nearest rank: each is a time that one of them really took."""
    ordered = sorted(times)
    if not ordered:
        return None
    p50, p95, p99 = (ordered[ceil(share * len(ordered) / 100) - 1] for share in (50, 95, 99))
    return Percentiles(p50, p95, p99, len(ordered))


def spoken(duration: timedelta | float) -> str:
    """A duration as people say it, in the unit that fits: 12 ms, 0.3 s, 4 min, 2.5 h, 3 d."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            number = seconds / size
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def percent(share: float) -> str:
    """Never rounded up to 100 %: one failure in ten thousand is one."""
    tenths = int(share * 1000)
    return f"{tenths // 10} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"
