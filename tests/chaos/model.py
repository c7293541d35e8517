"""The small model that any order of events is held against. `tests/test_machine.py` has the events.

The real statements on the real database. Time passes by moving every row into the past. A worker lives between
two rules, so that others claim, recover and cancel while it sends; what it sends is counted, not sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django_q.models import OrmQ
from hypothesis.stateful import RuleBasedStateMachine

from notifications import delivery, services, statements, tasks
from notifications.backends.queue import package
from notifications.channels.base import SENT, SendResult
from notifications.models import Notification, Outcome, Status
from notifications.retry import RetryPolicy

LEASE, ATTEMPTS = 30, 3  # seconds, and attempts at most
RETRY = {"MAX_ATTEMPTS": ATTEMPTS, "BASE": timedelta(0)}
POLICY = RetryPolicy.from_options(RETRY)
RESULTS = {
    "sent": SENT,
    "refused": SendResult(sent=False, error="busy"),
    "refused for good": SendResult(sent=False, error="no such address", permanent=True),
    "broke": SendResult(sent=False, error="the connection broke after the work", unknown=True),
}
ARRIVES = {"sent", "broke"}


@dataclass(slots=True)
class Expected:
    """What the model knows of one notification. Times are seconds from now."""

    status: str = Status.QUEUED
    due_in: int = 0
    lease: int = 0
    attempts: int = 0
    outcomes: list[str] = field(default_factory=list)
    lines: int = 0  # how often it was sent
    has_entry: bool = True
    holds: bool = False  # its channel holds what may have arrived
    again: int = 0  # how often somebody sent it again


@dataclass(eq=False, slots=True)
class Worker:
    claims: list[statements.Claim]
    entry: int  # its primary key


class Died(BaseException):
    """kill -9: nobody's `except Exception` sees it."""


class Workers(RuleBasedStateMachine):
    """What is real beside the model: workers, the sweep, the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.model: dict[str, Expected] = {}
        self.workers: list[Worker] = []

    def time_passes(self, seconds: int) -> None:
        by = timedelta(seconds=seconds)
        times = "created_at", "due_at", "next_attempt_at", "claimed_at", "lease_expires_at", "finished_at"
        Notification.objects.update(**{name: F(name) - by for name in times})
        OrmQ.objects.update(lock=F("lock") - by)
        for expected in self.model.values():
            expected.due_in -= seconds
            expected.lease -= seconds

    def recover(self) -> None:
        """The sweep takes what has an expired lease, and what should have an entry and has none."""
        abandoned = {id for id, row in self.model.items() if row.status == Status.SENDING and row.lease < 0}
        without = {id for id, row in self.model.items() if row.status == Status.QUEUED and not row.has_entry}
        found = services.recover()
        assert {*found.lost, *found.given_up} == abandoned
        assert set(found.stranded) <= without
        for id in found.lost + found.given_up:
            row = self.model[id]
            row.outcomes.append(Outcome.LOST)
            row.status, row.due_in, row.has_entry = Status.QUEUED, 0, True
            assert (id in found.given_up) == (row.holds or row.attempts >= ATTEMPTS)
            if id in found.given_up:
                row.status = Status.UNKNOWN if row.holds else Status.FAILED
        for id in found.stranded:
            self.model[id].has_entry = True

    def die_while_recording(self, worker: Worker, result: str) -> None:
        """kill -9 in the transaction of the record: nothing of it happened, its successor's entry included."""
        self.workers.remove(worker)
        entries = OrmQ.objects.count()
        with pytest.raises(Died), dying_after_the_record():
            self.settle(worker, result)
        self.count_lines(worker, result)
        assert OrmQ.objects.count() == entries

    def held_now(self) -> list[Worker]:
        """Workers that send something whose channel holds what may have arrived."""
        return [
            worker for worker in self.workers if any(self.model[claim.id].holds for claim in worker.claims)
        ]

    def entries(self) -> list[int]:
        return sorted(OrmQ.objects.filter(lock__lte=timezone.now()).values_list("pk", flat=True))

    def ids_of(self, entry: int) -> list[str]:
        payload = OrmQ.objects.get(pk=entry).payload
        return list(package.unpack(payload)["args"][0])

    def begin(self, entry: int) -> None:
        if not self.begin_with(self.ids_of(entry), entry):
            self.acknowledge(entry)

    def begin_with(self, ids: list[str], entry: int) -> bool:
        due = {id for id in ids if self.model[id].status == Status.QUEUED and self.model[id].due_in <= 0}
        claims = statements.claim(ids, timedelta(seconds=LEASE), "default")
        assert {claim.id for claim in claims} == due
        for claim in claims:
            row = self.model[claim.id]
            row.status, row.lease = Status.SENDING, LEASE
            row.attempts += 1
            assert claim.attempt == row.attempts
        if claims:
            self.workers.append(Worker(claims, entry))
        return bool(claims)

    def settle(self, worker: Worker, result: str) -> None:
        """As `delivery.deliver` does after the channel has sent."""
        records = [
            delivery._record(claim, RESULTS[result], POLICY, self.model[claim.id].holds, claim.claimed_at)
            for claim in worker.claims
        ]
        delivery.settle(records, tasks.deliver_later, "default")

    def finish(self, worker: Worker, result: str) -> None:
        self.workers.remove(worker)
        self.settle(worker, result)
        self.count_lines(worker, result)
        for claim in worker.claims:
            row = self.model[claim.id]
            if (row.status, row.attempts) != (Status.SENDING, claim.attempt):
                continue  # fenced off
            outcome = Outcome.UNKNOWN if result == "broke" else None
            if result == "sent":
                outcome, row.status = Outcome.SENT, Status.SENT
            elif result == "broke" and row.holds:
                row.status = Status.UNKNOWN
            elif result != "refused for good" and claim.attempt < ATTEMPTS:
                row.status, row.due_in, row.has_entry = Status.QUEUED, 0, True
                outcome = outcome or Outcome.RETRY
            else:
                row.status = Status.FAILED
                outcome = outcome or Outcome.FAILED
            row.outcomes.append(outcome)
        self.acknowledge(worker.entry)

    def confirm(self, id: str) -> None:
        services.confirm(Notification.objects.get(pk=id))
        self.model[id].status = Status.SENT

    def send_again(self, id: str) -> None:
        services.send_again(Notification.objects.get(pk=id))
        row = self.model[id]
        row.status, row.due_in, row.has_entry = Status.QUEUED, 0, True
        row.again += 1

    def count_lines(self, worker: Worker, result: str) -> None:
        for claim in worker.claims:
            self.model[claim.id].lines += result in ARRIVES

    def acknowledge(self, entry: int) -> None:
        OrmQ.objects.filter(pk=entry).delete()


@contextmanager
def dying_after_the_record() -> Iterator[None]:
    """The last moment before the commit. On PostgreSQL that is in the middle of the one statement."""
    is_postgresql = connection.vendor == "postgresql"
    dialect = statements.postgresql if is_postgresql else statements.sqlite
    record = dialect.record

    def record_and_die(*args: Any) -> set[str]:
        with transaction.atomic() if is_postgresql else nullcontext():
            record(*args)
            raise Died

    dialect.record = record_and_die
    try:
        yield
    finally:
        dialect.record = record
