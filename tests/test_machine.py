"""Any order of events against a small model: accept, claim, record, retry, hold, decide, cancel, die, expire, recover,
tamper.
"""

import os
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from hypothesis import HealthCheck, Phase, strategies
from hypothesis import settings as how
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from notifications import services, tasks
from notifications.exceptions import InvalidStatus
from notifications.models import FINAL, SETTLED, Notification, Outcome, Status
from tests.chaos.model import ATTEMPTS, LEASE, RESULTS, RETRY, Expected, Workers

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "10"))
# Who asks for many wants to know whether it fails, not the shortest way there.
PHASES = [Phase.generate] if "MACHINE_EXAMPLES" in os.environ else list(Phase)
SCHEDULED_IN = 100  # seconds
PERIODS = [7, 40, 200]  # no sum of them is LEASE, SCHEDULED_IN or both: nothing falls on the edge
CROWD = 3  # notifications: of more, each meets fewer events


class Notifications(Workers):
    # --- what happens ---------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model) < CROWD)
    @rule(
        via=strategies.sampled_from(["queue", "thread"]),
        scheduled=strategies.booleans(),
        holds=strategies.booleans(),
    )
    def accept(self, via: str, scheduled: bool, holds: bool) -> None:
        """In thread mode nothing runs here: it is a web process that dies before its thread begins."""
        due_in = SCHEDULED_IN if scheduled else 0
        row = services.accept(
            recipient="you@example.com",
            message="hello",
            channel="holding" if holds else "recording",
            via=via,
            due_at=timezone.now() + timedelta(seconds=due_in) if scheduled else None,
        )
        self.model[str(row.pk)] = Expected(due_in=due_in, has_entry=via == "queue" or scheduled, holds=holds)

    @rule(seconds=strategies.sampled_from(PERIODS), sweep=strategies.booleans())
    def wait(self, seconds: int, sweep: bool) -> None:
        """Leases expire, what is scheduled becomes due; the sweep seldom lets that stand."""
        self.time_passes(seconds)
        if sweep:
            self.recover()

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
    @rule(
        data=strategies.data(),
        records=strategies.sampled_from([True, True, False]),
        result=strategies.sampled_from(sorted(RESULTS)),
    )
    def end(self, data: Any, records: bool, result: str) -> None:
        """A worker comes to its end. If its lease was taken over meanwhile, nothing of it is written."""
        worker = data.draw(strategies.sampled_from(self.workers))
        if records:
            self.finish(worker, result)
        else:  # it dies, and the entry stays: it was not acknowledged
            self.workers.remove(worker)
            self.count_lines(worker, result)

    @precondition(lambda self: self.workers)
    @rule(data=strategies.data(), result=strategies.sampled_from(["refused", "broke", "sent"]))
    def end_in_the_record(self, data: Any, result: str) -> None:
        """It dies just then, mostly with a next attempt to be queued."""
        self.die_while_recording(data.draw(strategies.sampled_from(self.workers)), result)

    @precondition(lambda self: self.held_now())
    @rule(data=strategies.data())
    def break_after_the_work(self, data: Any) -> None:
        """Of what a channel holds: the connection dies with the answer. Nobody works on it any more."""
        self.finish(data.draw(strategies.sampled_from(self.held_now())), "broke")

    @precondition(lambda self: self.workers)
    @rule(begun=strategies.booleans())
    def take_over(self, begun: bool) -> None:
        """The leases of all workers pass, but they live and go on; others have begun the same, or not yet."""
        self.time_passes(40)
        self.recover()
        for entry in self.entries() if begun else []:
            self.begin(entry)

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

    @precondition(lambda self: self.model)
    @rule(data=strategies.data(), arrived=strategies.booleans())
    def decide(self, data: Any, arrived: bool) -> None:
        """Somebody has asked the other side. Of what is not unknown there is nothing to decide."""
        id = data.draw(strategies.sampled_from(sorted(self.model)))
        decide = self.confirm if arrived else self.send_again
        if self.model[id].status == Status.UNKNOWN:
            decide(id)
        else:
            with pytest.raises(InvalidStatus):
                decide(id)

    @precondition(lambda self: OrmQ.objects.exists())
    @rule(data=strategies.data(), double=strategies.booleans())
    def tamper(self, data: Any, double: bool) -> None:
        """An entry is there twice, for its acknowledgement came too late; or somebody deletes it in the admin."""
        entries = sorted(OrmQ.objects.all(), key=lambda entry: entry.pk)
        entry = data.draw(strategies.sampled_from(entries))
        if double:
            OrmQ.objects.create(key=entry.key, payload=entry.payload, lock=entry.lock)
            return
        for id in self.ids_of(entry.pk):
            self.model[id].has_entry = False
        entry.delete()

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
            assert (row.finished_at is not None) == (row.status in FINAL)
            assert (row.next_attempt_at is None) == (row.status in SETTLED)

    @invariant()
    def nothing_is_sent_twice_without_a_death(self) -> None:
        """Or a break that the channel does not hold. What is held is sent twice by nobody but who decides."""
        for expected in self.model.values():
            outcomes = expected.outcomes
            excused = outcomes.count(Outcome.LOST) + outcomes.count(Outcome.UNKNOWN)
            sent = outcomes.count(Outcome.SENT)
            assert sent <= expected.lines <= excused + sent + (expected.status == Status.SENDING)
            if expected.holds:
                assert expected.lines <= 1 + expected.again

    @invariant()
    def what_is_queued_has_its_entry(self) -> None:
        """Unless a rule has taken it away: there is no moment at which nobody would hear of a row."""
        queued = Notification.objects.filter(status=Status.QUEUED).values_list("pk", "task_id")
        heard_of = [task_id for id, task_id in queued if self.model[str(id)].has_entry]
        assert tasks.deliver.get_backend().missing(heard_of) == set()

    def teardown(self) -> None:
        """Everybody is taken for dead, the sweep runs, new workers come, and in the middle of their work the old
        ones are back and record. Then somebody decides about what was held. Everything becomes final: nothing is
        lost."""
        try:
            for _ in range(ATTEMPTS + 1):
                late = list(self.workers)
                self.time_passes(200)
                self.recover()
                for entry in self.entries():
                    self.begin(entry)
                for worker in late + [worker for worker in self.workers if worker not in late]:
                    self.finish(worker, "sent")
                self.rows_are_as_expected()
            unknown = [id for id, row in self.model.items() if row.status == Status.UNKNOWN]
            for number, id in enumerate(unknown):
                self.send_again(id) if number % 2 else self.confirm(id)
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


@pytest.mark.slow
@pytest.mark.django_db
def test_any_order_of_events(settings: Any) -> None:
    """Law: whatever happens in whatever order, rows, attempts and entries are as the model says, nothing is sent
    twice without a death between, what its channel holds is never sent twice by itself, and in the end everything is
    final.

    Breaks it catches: a claim without the status condition, or before its time; attempts not counted at the claim;
    a record without the fencing token; a retry whose entry is not in the record's transaction, or is missing; a
    cancel of what is being sent; a sweep that takes what has a lease, that leaves expired leases, or that skips
    stranded rows; poison that is never given up; a record, or a sweep, that sends again what is to be held.
    """
    recording = {**settings.CHANNELS["recording"], "RETRY": RETRY}
    settings.CHANNELS = {"recording": recording, "holding": {**recording, "UNKNOWN": "hold"}}
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
