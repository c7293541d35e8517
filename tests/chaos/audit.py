"""Afterwards: what the clients were promised, held against rows, attempts and lines."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django_q.models import OrmQ

from notifications.models import FINAL, Attempt, Notification, Outcome, Status
from tests.chaos.clients import Ledger
from tests.chaos.faults import Fault
from tests.chaos.settings import POISON_ATTEMPTS

PREFIX = "notification for you@example.com: "
# The record of an attempt may have been under way when the fault struck, or was written just before it.
EDGE = timedelta(seconds=0.1)
WAITED = timedelta(seconds=2)  # a row of thread mode that waited so long did not wait for its own process


@dataclass(slots=True)
class Harm:
    """What one kind of fault cost. `held`: notifications it was sending, or kept waiting in its memory."""

    held: int = 0
    doubled: int = 0
    found: list[float] = field(default_factory=list)  # seconds until the queue had it again
    final: list[float] = field(default_factory=list)  # and until it was final


@dataclass(slots=True)
class Audit:
    """`broken`: a sentence for each promise that was not kept. The rest is what the table shows."""

    broken: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    doubled: int = 0
    torn: int = 0
    lost_attempts: int = 0
    harm: defaultdict[str, Harm] = field(default_factory=lambda: defaultdict(Harm))  # by name of the fault


@dataclass(slots=True)
class Row:
    id: str
    message: str
    channel: str
    via: str
    status: str
    attempt_count: int
    due_at: datetime
    finished_at: datetime | None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def lost(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.outcome == Outcome.LOST]


def audit(ledger: Ledger, faults: Sequence[Fault], log_file: Path) -> Audit:
    found = Audit()
    rows = _rows()
    lines = log_file.read_text().splitlines() if log_file.exists() else []
    counted = Counter(line.removeprefix(PREFIX) for line in lines)
    found.lines = len(lines)
    wholes = [PREFIX + text for text in ledger.asked]
    for text in counted.keys() - ledger.asked:
        # kill -9 may end a write in the middle; then the whole line stands further down
        if any(whole.startswith((text, PREFIX + text)) for whole in wholes):
            found.torn += 1
        else:
            found.broken.append(f"the log has a line that nobody asked for: {text!r}")
    for accepted in ledger.accepted:
        if accepted.id not in rows:
            found.broken.append(
                f"{accepted.id} ({accepted.text}) was accepted at {accepted.at} and has no row"
            )
    for text, times in Counter(row.message for row in rows.values()).items():
        if times > 1:
            found.broken.append(f"{text!r} was asked for under one key, and accepted {times} times")
    poison = [_as_fault(attempt) for row in rows.values() if _kind(row) == "poison" for attempt in row.lost]
    for row in rows.values():
        found.statuses[row.status] += 1
        found.doubled += max(0, counted[row.message] - 1 - (row.id in ledger.again))
        found.lost_attempts += len(row.lost)
        found.broken += [f"{row.id} ({row.message}) {what}" for what in _breaches(row, counted, ledger)]
        if _kind(row) != "poison":
            found.broken += [
                f"{row.id} ({row.message}): attempt {attempt.number} was lost with no fault at the time, "
                f"{attempt.started_at} to {attempt.finished_at}"
                for attempt in row.lost
                if not any(_meet(fault, attempt) for fault in [*faults, *poison])
            ]
            if row.channel != "held":  # that one is over when somebody has decided
                _measure(row, [*faults, *poison], counted, found)
    if entries := OrmQ.objects.count():
        found.broken.append(f"{entries} entries are left in the queue")
    return found


def _breaches(row: Row, counted: Counter[str], ledger: Ledger) -> Iterator[str]:
    """The promises to one notification that were not kept."""
    lines = counted[row.message]
    if row.status not in FINAL:
        yield f"is still {row.status}"
        return
    if row.status == Status.SENT and lines == 0:
        yield "is sent, and its line is not in the log"
    if row.status == Status.CANCELLED and (lines or not _kind(row).startswith("cancel")):
        yield f"is cancelled, and has {lines} lines"
    if row.id in ledger.cancelled and row.status != Status.CANCELLED:
        yield f"was cancelled, and is {row.status}"
    if (row.status == Status.FAILED) != (_kind(row) == "poison"):
        yield f"is {row.status}"
    if _kind(row) == "poison" and row.attempt_count != POISON_ATTEMPTS:
        yield f"was tried {row.attempt_count} times"
    if row.channel == "held" and lines > 1 + (row.id in ledger.again):
        yield f"stands {lines} times in the log, and its channel holds what may have arrived"
    if lines > 1 + len(row.lost) + (row.id in ledger.again):
        yield f"stands {lines} times in the log, with {len(row.lost)} lost attempts"
    if [attempt.number for attempt in row.attempts] != list(range(1, row.attempt_count + 1)):
        yield f"has {row.attempt_count} attempts, and rows for {[a.number for a in row.attempts]}"
    if Counter(attempt.outcome for attempt in row.attempts)[Outcome.SENT] != (
        row.status == Status.SENT and row.id not in ledger.confirmed
    ):
        yield f"is {row.status}, and its attempts came to {[a.outcome for a in row.attempts]}"


def _kind(row: Row) -> str:
    return row.message.split()[0]


def _meet(fault: Fault, attempt: Attempt) -> bool:
    assert attempt.finished_at is not None
    return fault.began_at <= attempt.finished_at + EDGE and attempt.started_at - EDGE <= fault.ended_at


def _as_fault(attempt: Attempt) -> Fault:
    """Poison kills in the moment it is sent: those that were claimed with it, or wait behind it, die too."""
    return Fault("poison", attempt.started_at, attempt.started_at + timedelta(seconds=1), "")


def _measure(row: Row, faults: Sequence[Fault], counted: Counter[str], found: Audit) -> None:
    """Who hit it, and how long after that it was found and final. Times only of what was hit once."""
    hits = [(attempt, [fault for fault in faults if _meet(fault, attempt)]) for attempt in row.lost]
    extra = counted[row.message] - 1
    for attempt, by in hits:
        if not by:
            continue
        harm = found.harm[by[0].name]
        harm.held += 1
        if extra > 0:
            harm.doubled += 1
            extra -= 1
        if len(hits) == len(by) == 1 and attempt.finished_at and row.finished_at:
            harm.found.append((attempt.finished_at - by[0].began_at).total_seconds())
            harm.final.append((row.finished_at - by[0].began_at).total_seconds())
    if row.via == "thread" and row.attempts and row.attempts[0].started_at > row.due_at + WAITED:
        first = row.attempts[0].started_at
        by = [fault for fault in faults if row.due_at - EDGE <= fault.began_at <= first]
        if by:
            harm = found.harm[by[0].name]
            harm.held += 1
            if len(by) == 1 and not hits and row.finished_at:
                harm.found.append((first - by[0].began_at).total_seconds())
                harm.final.append((row.finished_at - by[0].began_at).total_seconds())


def _rows() -> dict[str, Row]:
    columns = "id", "message", "channel", "via", "status", "attempt_count", "due_at", "finished_at"
    rows = {str(row[0]): Row(str(row[0]), *row[1:]) for row in Notification.objects.values_list(*columns)}
    for attempt in Attempt.objects.order_by("notification_id", "number"):
        rows[str(attempt.notification_id)].attempts.append(attempt)
    return rows
