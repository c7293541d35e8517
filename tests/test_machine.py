"""Any order of events against a small model: accept, claim, record, retry, cancel, kill, expire, recover.

The real statements on the real database. Time passes by moving every row into the past. A worker lives between
two rules, so that others claim, recover and cancel while it sends; what it writes is counted, not written.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django_q.models import OrmQ
from hypothesis import HealthCheck, Phase, strategies
from hypothesis import settings as how
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from notifications import delivery, services, statements, tasks
from notifications.backends.queue import package
from notifications.channels.base import SENT, SendResult
from notifications.exceptions import InvalidStatus
from notifications.models import FINAL, Notification, Outcome, Status
from notifications.retry import RetryPolicy

LEASE, SCHEDULED_IN, ATTEMPTS = 30, 100, 3  # seconds, seconds, attempts at most
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "10"))
PHASES = (
    [Phase.generate] if os.environ.get("MACHINE_EXAMPLES") else list(Phase)
)  # many at once: do not shrink
RETRY = {"MAX_ATTEMPTS": ATTEMPTS, "BASE": timedelta(0)}
POLICY = RetryPolicy.from_options(RETRY)
RESULTS = {
    "sent": SENT,
    "refused": SendResult(sent=False, error="busy"),
    "refused for good": SendResult(sent=False, error="no such address", permanent=True),
}
# No sum of them is LEASE, SCHEDULED_IN or both: nothing falls on the edge of a second.
PERIODS = [7, 40, 200]


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


@dataclass(eq=False, slots=True)
class Worker:
    claims: list[statements.Claim]
    entry: int  # its primary key


class Died(BaseException):
    """kill -9: nobody's `except Exception` sees it."""


class Notifications(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.model: dict[str, Expected] = {}
        self.workers: list[Worker] = []

    # --- what happens ---------------------------------------------------------------------------------

    @rule(via=strategies.sampled_from(["queue", "thread"]), scheduled=strategies.booleans())
    def accept(self, via: str, scheduled: bool) -> None:
        """In thread mode nothing runs here: it is a web process that dies before its thread begins."""
        due_in = SCHEDULED_IN if scheduled else 0
        row = services.accept(
            recipient="you@example.com",
            message="hello",
            channel="recording",
            via=via,
            due_at=timezone.now() + timedelta(seconds=due_in) if scheduled else None,
        )
        self.model[str(row.pk)] = Expected(due_in=due_in, has_entry=via == "queue" or scheduled)

    @rule(seconds=strategies.sampled_from(PERIODS))
    def time_passes(self, seconds: int) -> None:
        """Leases expire, what is scheduled becomes due."""
        by = timedelta(seconds=seconds)
        times = "created_at", "due_at", "next_attempt_at", "claimed_at", "lease_expires_at", "finished_at"
        Notification.objects.update(**{name: F(name) - by for name in times})
        OrmQ.objects.update(lock=F("lock") - by)
        for expected in self.model.values():
            expected.due_in -= seconds
            expected.lease -= seconds

    @precondition(lambda self: self.entries())
    @rule(data=strategies.data())
    def claim(self, data: Any) -> None:
        """A worker takes any due entry: in any order, also one that another worker has."""
        self.begin(data.draw(strategies.sampled_from(self.entries()), label="entry"))

    @precondition(lambda self: self.model)
    @rule(data=strategies.data(), number=strategies.integers(1, 4))
    def claim_out_of_the_blue(self, data: Any, number: int) -> None:
        """Entries may be doubled, stale or merged: any ids at any time."""
        ids = data.draw(strategies.lists(strategies.sampled_from(sorted(self.model)), max_size=number))
        self.begin_with(ids, entry=0)

    @precondition(lambda self: self.workers)
    @rule(data=strategies.data(), result=strategies.sampled_from(sorted(RESULTS)))
    def record(self, data: Any, result: str) -> None:
        """A worker comes to its end. If its lease was taken over meanwhile, nothing of it is written."""
        self.finish(data.draw(strategies.sampled_from(self.workers)), result)

    @precondition(lambda self: self.workers)
    @rule(data=strategies.data(), result=strategies.sampled_from(sorted(RESULTS)))
    def die_while_recording(self, data: Any, result: str) -> None:
        """kill -9 in the transaction of the record: nothing of it happened, its successor's entry included."""
        worker = data.draw(strategies.sampled_from(self.workers))
        self.workers.remove(worker)
        entries = OrmQ.objects.count()
        with pytest.raises(Died), dying_after_the_record():
            self.settle(worker, result)
        self.count_lines(worker, result)
        assert OrmQ.objects.count() == entries

    @precondition(lambda self: self.workers)
    @rule(data=strategies.data(), sent=strategies.booleans())
    def kill(self, data: Any, sent: bool) -> None:
        """kill -9 before or after the channel has sent. The entry stays; it was not acknowledged."""
        worker = data.draw(strategies.sampled_from(self.workers))
        self.workers.remove(worker)
        if sent:
            self.count_lines(worker, "sent")

    @rule()
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
            if id in found.given_up:
                assert row.attempts == ATTEMPTS
                row.status = Status.FAILED
        for id in found.stranded:
            self.model[id].has_entry = True

    @precondition(lambda self: self.model)
    @rule(data=strategies.data())
    def cancel(self, data: Any) -> None:
        """It wins or loses, never both."""
        id = data.draw(strategies.sampled_from(sorted(self.model)))
        row = self.model[id]
        if row.status == Status.QUEUED:
            services.cancel(Notification.objects.get(pk=id))
            row.status = Status.CANCELLED
        else:
            with pytest.raises(InvalidStatus):
                services.cancel(Notification.objects.get(pk=id))

    @precondition(lambda self: OrmQ.objects.exists())
    @rule(data=strategies.data())
    def lose_an_entry(self, data: Any) -> None:
        """Somebody deletes it in the admin, or restores an old backup of one table."""
        pk = data.draw(strategies.sampled_from(sorted(OrmQ.objects.values_list("pk", flat=True))))
        ids = self.ids_of(pk)
        OrmQ.objects.filter(pk=pk).delete()
        for id in ids:
            self.model[id].has_entry = False

    @precondition(lambda self: OrmQ.objects.exists())
    @rule(data=strategies.data())
    def double_an_entry(self, data: Any) -> None:
        """An acknowledgement that came too late."""
        entry = OrmQ.objects.get(
            pk=data.draw(strategies.sampled_from(sorted(OrmQ.objects.values_list("pk", flat=True))))
        )
        OrmQ.objects.create(key=entry.key, payload=entry.payload, lock=entry.lock)

    # --- what must hold -------------------------------------------------------------------------------

    @invariant()
    def rows_are_as_expected(self) -> None:
        rows = {str(row.pk): row for row in Notification.objects.prefetch_related("attempts")}
        assert rows.keys() == self.model.keys()
        for id, expected in self.model.items():
            row, attempts = rows[id], sorted(rows[id].attempts.all(), key=lambda attempt: attempt.number)
            assert (row.status, row.attempt_count) == (expected.status, expected.attempts)
            assert [attempt.outcome for attempt in attempts] == expected.outcomes
            recorded = expected.attempts - (expected.status == Status.SENDING)
            assert [attempt.number for attempt in attempts] == list(range(1, recorded + 1))
            assert (row.finished_at is not None) == (row.next_attempt_at is None) == (row.status in FINAL)

    @invariant()
    def nothing_is_sent_twice_without_a_death(self) -> None:
        for expected in self.model.values():
            running = expected.status == Status.SENDING
            assert (
                expected.lines
                <= expected.outcomes.count(Outcome.LOST) + (expected.status == Status.SENT) + running
            )
            assert expected.lines >= (expected.status == Status.SENT)

    @invariant()
    def what_is_queued_has_its_entry(self) -> None:
        """Unless a rule has taken it away: there is no moment at which nobody would hear of a row."""
        queued = Notification.objects.filter(status=Status.QUEUED).values_list("pk", "task_id")
        heard_of = [task_id for id, task_id in queued if self.model[str(id)].has_entry]
        assert tasks.deliver.get_backend().missing(heard_of) == set()

    def teardown(self) -> None:
        """Everybody dies, a new worker comes, the sweep runs: everything becomes final. Nothing is lost."""
        try:
            self.workers.clear()
            for _ in range(ATTEMPTS + 1):
                self.time_passes(200)
                self.recover()
                for entry in self.entries():
                    self.begin(entry)
                    for worker in list(self.workers):
                        self.finish(worker, "sent")
                self.rows_are_as_expected()
            assert {row.status for row in self.model.values()} <= FINAL
            self.nothing_is_sent_twice_without_a_death()
        finally:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    # --- a worker's steps -----------------------------------------------------------------------------

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
            delivery._record(claim, RESULTS[result], POLICY, claim.claimed_at) for claim in worker.claims
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
            if result == "sent":
                outcome, row.status = Outcome.SENT, Status.SENT
            elif result == "refused" and claim.attempt < ATTEMPTS:
                outcome, row.status, row.due_in, row.has_entry = Outcome.RETRY, Status.QUEUED, 0, True
            else:
                outcome, row.status = Outcome.FAILED, Status.FAILED
            row.outcomes.append(outcome)
        self.acknowledge(worker.entry)

    def count_lines(self, worker: Worker, result: str) -> None:
        for claim in worker.claims:
            self.model[claim.id].lines += result == "sent"

    def acknowledge(self, entry: int) -> None:
        OrmQ.objects.filter(pk=entry).delete()


@contextmanager
def dying_after_the_record() -> Iterator[None]:
    """The last moment before the commit."""
    record = statements.record

    def record_and_die(*args: Any) -> set[str]:
        record(*args)
        raise Died

    statements.record = record_and_die
    try:
        yield
    finally:
        statements.record = record


@pytest.mark.django_db
def test_any_order_of_events(settings: Any) -> None:
    """Law: whatever happens in whatever order, rows, attempts and entries are as the model says, nothing is sent
    twice without a death between, and in the end everything is final (C2, C3, C7, C8).

    Breaks it catches: a claim without the status condition, or before its time; attempts not counted at the claim;
    a record without the fencing token; a retry whose entry is not in the record's transaction, or is missing; a
    cancel of what is being sent; a sweep that takes what has a lease, that leaves expired leases, or that skips
    stranded rows; poison that is never given up.
    """
    settings.CHANNELS = {"recording": {**settings.CHANNELS["recording"], "RETRY": RETRY}}
    settings.NOTIFICATIONS_LEASE = timedelta(seconds=LEASE)
    run_state_machine_as_test(
        Notifications,
        settings=how(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            phases=PHASES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
