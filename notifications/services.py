"""The front desk: what the API, the commands and other apps call."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from itertools import batched
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections, transaction
from django.db.models import QuerySet
from django.tasks import TaskResult

from . import intake, limits, orders, recovery, tasks, tracing
from .background.tasks import no_request
from .clock import database_now
from .exceptions import BatchRefused, InvalidStatus, RecipientLimitReached
from .gathering import Gathering
from .models import IdempotencyKey, Notification, database
from .orders import Order, Refusal
from .schedule import Due

CHUNK = 1000  # notifications of a batch that are written in one transaction
PRUNED_AT_ONCE = 1000  # rows that are deleted in one transaction: nobody should wait for more

Enqueue = Callable[..., TaskResult]


def accept(
    *,
    recipient: str,
    message: str,
    subject: str = "",
    html: str = "",
    category: str = "",
    channel: str | None = None,
    via: str | None = None,
    due_at: datetime | None = None,
    dedupe_key: str = "",
    owner: Any = None,
    enqueue: Enqueue | None = None,
) -> Notification:
    """Take a notification: write its row and enqueue its delivery, in one transaction.

    Call it inside your own transaction and both commit, or roll back, with your work; nothing is sent before
    that. `via` is where it runs: "queue", "thread" or another alias of TASKS. While that is down, its FALLBACK
    takes it: the result's `via` is the one that did, and `requested_via` the other. `channel` is an alias of
    CHANNELS. `html` is the message once more, for channels that can show it; `category` names what the
    recipient can unsubscribe from. `due_at` (aware) in the future schedules it; what is scheduled waits in the
    queue. `owner` is the user who may see it through the API. An owner has one notification for each
    `dedupe_key`: asked again, this returns the one that is there, with `is_duplicate` set. `enqueue` is for
    callers with a better way than the task's own: a request's `background_tasks.add_task`.

    Raises django.core.exceptions.ValidationError, by field, for what cannot be accepted, and
    RecipientLimitReached for a recipient who has got enough; nothing is stored.
    """
    order = orders.make(
        recipient=recipient,
        message=message,
        subject=subject,
        html=html,
        category=category,
        channel=channel,
        via=via,
        due_at=due_at,
        dedupe_key=dedupe_key,
        owner=owner,
    )
    return _accept(order, enqueue)


def accept_many(
    items: Iterable[Mapping[str, Any]],
    *,
    owner: Any = None,
    all_or_nothing: bool = False,
    enqueue: Enqueue | None = None,
) -> list[Notification | Refusal]:
    """Take many: each item holds keyword arguments of `accept`. One result for each, in order.

    A result is the notification, or the error that `accept` would have raised. They are written in chunks, two
    INSERTs and one transaction each. With `all_or_nothing` there is one transaction, and the first error of
    any kind stores nothing: raises BatchRefused with all of them.
    """
    asked = orders.make_many(items, owner=owner)
    if not all_or_nothing:
        return [result for chunk in batched(asked, CHUNK) for result in _accept_chunk(chunk, enqueue)]
    _refuse_batch(asked)
    with transaction.atomic(using=database()):
        results = [result for chunk in batched(asked, CHUNK) for result in _accept_chunk(chunk, enqueue)]
        _refuse_batch(results)
    return results


def cancel(notification: Notification) -> None:
    """Cancel what no worker has claimed yet. Its queue entry finds nothing to do.

    Raises InvalidStatus when it is being sent already, or final.
    """
    notification.cancel()


def resend(notification: Notification, *, enqueue: Enqueue | None = None) -> Notification:
    """Accept the same once more: a new notification, whose `resend_of` is the old one's id.

    Both have the same owner: who asked for the first sees the second, and who resends it learns no recipient.

    Raises InvalidStatus while the old one is unfinished, and what `accept` raises.
    """
    if not notification.is_final:
        raise InvalidStatus(f"Notification {notification.pk} is {notification.status}: it is not over yet.")
    order = orders.make(
        recipient=notification.recipient,
        message=notification.message,
        subject=notification.subject,
        html=notification.html,
        category=notification.category,
        channel=notification.channel,
        via=notification.via,
        owner=notification.owner,
    )
    order.fields["resend_of"] = notification.pk
    return _accept(order, enqueue)


def confirm(notification: Notification) -> None:
    """Settle what is unknown as sent: you have asked the other side, and it arrived.

    Raises InvalidStatus when it is not unknown, or somebody else has decided meanwhile.
    """
    notification.confirm()


def send_again(notification: Notification) -> None:
    """Queue what is unknown once more: it did not arrive, or may well arrive twice. The same id, the next attempt.

    It goes through the queue, and its channel's retry policy goes on where it was: after the last attempt, or
    past the age, it is tried this once. Raises InvalidStatus as `confirm` does.
    """
    with transaction.atomic(using=database()):
        due = Due(str(notification.pk), notification.channel, database_now(database()))
        [task_id] = tasks.deliver_later([due])
        notification.queue_again(task_id)


def recover(*, dry_run: bool = False) -> recovery.Recovered:
    """Hand to the queue what a dead worker or a dead web process held. Safe to call at any time, by anyone."""
    return recovery.recover(tasks.deliver_later, tasks.deliver_alone_later, dry_run=dry_run)


def prune() -> int:
    """Delete what the door no longer needs: answers of yesterday's keys, counts of past days, sessions that ended.

    Returns how many, without the sessions.
    """
    if apps.is_installed("django.contrib.sessions"):  # Django leaves it to whoever uses them
        with suppress(NotImplementedError):  # an engine of somebody else's, which need not know how
            import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return sum(_delete(rows) for rows in (limits.past(), IdempotencyKey.objects.expired()))


def _delete(rows: QuerySet[Any]) -> int:
    deleted = 0
    while True:
        page = list(rows.values_list("pk", flat=True)[:PRUNED_AT_ONCE])
        # Of `rows`, because one of the page may have come into use again since.
        deleted += rows.filter(pk__in=page).delete()[0]
        if len(page) < PRUNED_AT_ONCE:
            return deleted


@tracing.accepting
def _accept(order: Order, enqueue: Enqueue | None) -> Notification:
    if order.dedupe_key or connections[database()].in_atomic_block:
        return _accept_alone(order, enqueue)
    order.bind()
    result = _gathering.join(order)  # a transaction of ours, which others may share
    if isinstance(result, RecipientLimitReached):
        raise result
    if not intake.has_entry(order):
        # It is accepted now: should this fail, the sweep has it.
        transaction.on_commit(partial(intake.enqueue_afterwards, [order], enqueue), database(), robust=True)
    intake.announce(result)
    return result


def _write_together(orders: Sequence[Order]) -> Sequence[Notification | RecipientLimitReached]:
    with no_request():  # what is written for others must not hang on how our own request ends
        return intake.write_together(orders)


_gathering = Gathering(_write_together)
os.register_at_fork(after_in_child=_gathering.clear)


def _accept_alone(order: Order, enqueue: Enqueue | None) -> Notification:
    try:
        with transaction.atomic(using=database()):
            return intake.write(order, enqueue)
    except IntegrityError:
        # Note [The key was taken meanwhile]: somebody accepted the same key between our look and our INSERT.
        # The unique constraint decided, our transaction left nothing, and theirs is there to be found.
        if not order.dedupe_key:
            raise
        with transaction.atomic(using=database()):
            return intake.write(order, enqueue)


@tracing.accepting
def _accept_chunk(
    chunk: Sequence[Order | Refusal], enqueue: Enqueue | None
) -> Sequence[Notification | Refusal]:
    try:
        with transaction.atomic(using=database()):
            return intake.write_many(chunk, enqueue)
    except IntegrityError:  # Note [The key was taken meanwhile]
        if not any(isinstance(order, Order) and order.dedupe_key for order in chunk):
            raise
        with transaction.atomic(using=database()):
            return intake.write_many(chunk, enqueue)


def _refuse_batch(results: Sequence[Order | Notification | Refusal]) -> None:
    errors = {
        position: result
        for position, result in enumerate(results)
        if isinstance(result, ValidationError | RecipientLimitReached)
    }
    if errors:
        raise BatchRefused(errors)
