"""The workshop: claim → send → record. Batch first: one notification is a batch of one.

Note [Claim, send, record]: the claim commits, then the channel talks to the world, then the record commits.
No I/O happens inside a transaction, so no lock is ever held for as long as somebody's server takes. Dying
before the claim changes nothing; dying after it leaves a lease that passes; the attempt is counted already,
so a notification that kills its worker each time ends as failed instead of going round for ever.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import batched, groupby
from time import monotonic, sleep

from django.db import InterfaceError, OperationalError, connections, transaction

from . import pacing, statements, suppression, tracing
from .channels import SendResult, channels
from .channels.base import BaseChannel
from .conf import notification_settings
from .lease import held
from .models import Outcome, Status, database
from .request_id import notification_id, request_id
from .retry import RetryPolicy
from .schedule import Due, Reschedule
from .sending import send
from .signals import recorded
from .statements import Claim, Record

logger = logging.getLogger("notifications.delivery")

BATCH = 500  # notifications that are claimed at once; a merged call may bring many more
FIRST_PAUSE = 0.05  # seconds before a record is tried again; it doubles, up to a second
MAX_ERROR_LENGTH = 2000  # characters of an error, or of an answer, that are kept
MAX_REASON_LENGTH = 255
MAX_CODE_LENGTH = 20  # characters of a code

# Not permanent: in a rolling deploy another worker may know the channel already.
UNKNOWN_CHANNEL = SendResult(sent=False, error="This version of the service does not know the channel.")


def deliver(ids: Iterable[str], reschedule: Reschedule) -> None:
    """Send what of `ids` is queued and due, and record what it came to. Any other id is passed over.

    Never raises for a channel's failure: that is an attempt's outcome. Raises django.db.DatabaseError when
    the database cannot be reached; then the leases pass and the work is done again.
    """
    using = database()
    lease = notification_settings().lease
    for batch in batched(tracing.received(ids), BATCH):
        send_and_settle(pacing.claim(batch, lease, using, reschedule), reschedule, lease, using)


def send_and_settle(claims: Sequence[Claim], reschedule: Reschedule, lease: timedelta, using: str) -> None:
    requests = {claim.request_id for claim in claims}
    token = request_id.set(requests.pop() if len(requests) == 1 else "")
    notification = notification_id.set(claims[0].id if len(claims) == 1 else "")
    try:
        with tracing.delivering(claims):
            _work(claims, reschedule, lease, using)
    finally:
        notification_id.reset(notification)
        request_id.reset(token)


def _work(claims: Sequence[Claim], reschedule: Reschedule, lease: timedelta, using: str) -> None:
    clock = monotonic()
    with held(claims, lease, using):  # all of them: the last channel's wait while the first one sends
        for alias, batch in _by_channel(claims):
            policy, hold, results, each = RetryPolicy(), False, [UNKNOWN_CHANNEL] * len(batch), None
            if alias in channels:
                channel: BaseChannel = channels[alias]
                policy, hold = RetryPolicy.from_options(channel.retry), channel.holds_unknown
                began = monotonic()
                with tracing.sending(batch):
                    results = send(channel, batch)
                each = (monotonic() - began) / len(batch)
                pacing.learn(alias, each, using)
            elapsed = timedelta(seconds=monotonic() - clock)
            records = [
                _record(claim, result, policy, hold, claim.claimed_at + elapsed, each)
                for claim, result in zip(batch, results, strict=True)
            ]
            tracing.came_to(records)
            _settle_patiently(records, reschedule, lease, using)


def _settle_patiently(
    records: Sequence[Record], reschedule: Reschedule, lease: timedelta, using: str
) -> None:
    """Settle, for as long as a lease in spite of a database that is away.

    Note [The record outlives its connection]: what was sent cannot be taken back. If a connection that was cut, or
    a file that somebody holds locked, lost the record of it, the whole batch would be sent again. Trying again is
    safe: should the first record have been committed after all, the second one is fenced off. Past that time the
    leases pass, and the sweep has it.
    """
    deadline, pause = monotonic() + lease.total_seconds(), FIRST_PAUSE
    while True:
        try:
            return settle(records, reschedule, using)
        except (OperationalError, InterfaceError):
            connection = connections[using]
            if connection.in_atomic_block or monotonic() + pause > deadline:
                raise
            logger.warning("record=waiting count=%d", len(records), exc_info=True)
            connection.close()
            sleep(pause)
            pause = min(2 * pause, 1.0)


def settle(records: Sequence[Record], reschedule: Reschedule, using: str) -> None:
    """Write attempts, statuses and the entries of the next attempts in one transaction.

    Note [Retry in the record's transaction]: either the attempt is recorded and its successor is queued, or
    neither is. There is no moment at which a notification waits for an entry that nobody wrote.
    """
    if not records:
        return
    again = [Due(r.id, r.channel, r.next_attempt_at) for r in records if r.next_attempt_at]
    is_all = not again and not any(record.bounced for record in records)  # then the record is the transaction
    with nullcontext() if is_all else transaction.atomic(using=using):
        if again:
            task_ids = dict(zip((due.id for due in again), reschedule(again), strict=True))
            records = [replace(record, task_id=task_ids.get(record.id, "")) for record in records]
        done = statements.record(records, using)
        if bounced := [record.id for record in records if record.bounced and record.id in done]:
            suppression.add_bounced(bounced, using)
    fenced = [record.id for record in records if record.id not in done]
    recorded.send_robust(sender=None, records=[r for r in records if r.id in done], fenced=fenced)


def _by_channel(claims: Sequence[Claim]) -> Iterator[tuple[str, list[Claim]]]:
    # Sorting is stable: within a channel the oldest stays first (ids are UUIDv7).
    ordered = sorted(claims, key=lambda claim: (claim.channel, claim.id))
    for alias, batch in groupby(ordered, key=lambda claim: claim.channel):
        yield alias, list(batch)


def _record(
    claim: Claim,
    result: SendResult,
    policy: RetryPolicy,
    hold: bool,
    now: datetime,
    each: float | None = None,
) -> Record:
    """Pure: what the attempt came to and where the notification goes. `now` is the database's time, `each` what one of
    its batch took on the average, in seconds, for channels that do not say.

    Note [It may have arrived]: of a message whose connection broke after its last byte nobody knows whether it
    arrived. To send it again may send it twice, to call it failed may be a lie. The channel's setting decides:
    `retry` takes the first risk, `hold` leaves it to somebody who can ask the other side.
    """
    delay = None
    if result.sent:
        outcome, status = Outcome.SENT, Status.SENT
    elif result.reason:
        outcome, status = Outcome.CANCELLED, Status.CANCELLED
    elif result.unknown and hold:
        outcome, status = Outcome.UNKNOWN, Status.UNKNOWN
    else:
        delay = policy.delay(
            claim.attempt,
            age=now - claim.due_at,
            permanent=result.permanent,
            retry_after=result.retry_after,
        )
        outcome, status = (Outcome.FAILED, Status.FAILED) if delay is None else (Outcome.RETRY, Status.QUEUED)
        if result.unknown:
            outcome = Outcome.UNKNOWN
    return Record(
        id=claim.id,
        channel=claim.channel,
        request_id=claim.request_id,
        attempt=claim.attempt,
        started_at=claim.claimed_at,
        finished_at=now,
        outcome=outcome.value,
        status=status.value,
        error=_cut(result.error or result.reason, MAX_ERROR_LENGTH),
        code=_cut(result.code, MAX_CODE_LENGTH),
        response=_cut(result.response, MAX_ERROR_LENGTH),
        phase=_cut(result.phase, MAX_CODE_LENGTH),
        duration=each if result.duration is None else result.duration,
        sent_to=result.sent_to,
        reason=_cut(result.reason, MAX_REASON_LENGTH),
        # Where it was redirected, it is not the recipient who bounced.
        bounced=result.bounced and not result.sent_to,
        next_attempt_at=None if delay is None else now + delay,
    )


def _cut(text: str, length: int) -> str:
    return text and text.replace("\0", "")[:length]
