"""Actions on many notifications: page by page in the background, each row once, whoever dies in between.

Note [The cursor commits with the work]: a page's changes and the cursor behind them are one transaction. A worker
that dies takes both back; the next one begins where the last commit ended. So nobody is resent twice, and there is
nothing to compare afterwards. All pages take turns by the locks of all unfinished actions: two workers at one action,
and two actions at the same notifications, of which the second is not to resend what the first has.

Note [It goes on by itself]: an entry whose worker died comes back. One whose task has failed, because the database
was away, is gone; then the sweep enqueues the next.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.tasks import task

from . import services
from .backends.enqueueing import enqueue_with_row, missing
from .exceptions import InvalidStatus, RecipientLimitReached
from .models import BulkAction, Kind, Notification, NotificationQuerySet, Status, database
from .selection import Selection

logger = logging.getLogger("notifications.bulk")

PAGE = 100  # notifications of one transaction
TURN = 60.0  # seconds of one task; it hands over to the next
STANDS_STILL = timedelta(minutes=1)  # after its last page
SWEPT_FOR = timedelta(days=1)  # from its start on; then somebody has to look

# The statuses that an action moves a notification out of, or repeats.
SOURCES: dict[str, frozenset[Status]] = {
    Kind.RESEND: frozenset({Status.FAILED, Status.SENT, Status.CANCELLED}),
    Kind.CANCEL: frozenset({Status.QUEUED}),
    Kind.CONFIRM: frozenset({Status.UNKNOWN}),
    Kind.SEND_AGAIN: frozenset({Status.UNKNOWN}),
}


ACTS: dict[str, Callable[[Notification], object]] = {
    Kind.RESEND: services.resend,
    Kind.CANCEL: services.cancel,
    Kind.CONFIRM: services.confirm,
    Kind.SEND_AGAIN: services.send_again,
}


def act_on_one(kind: str, notification: Notification) -> object:
    """Do it now, and return what came of it. Raises InvalidStatus, ValidationError or RecipientLimitReached."""
    return ACTS[kind](notification)


def start(kind: str, selection: Selection, user: Any) -> BulkAction:
    """Write the action and enqueue its work, in one transaction."""
    with transaction.atomic(using=database()):
        bulk = BulkAction.objects.using(database()).create(
            kind=kind, selection=selection.written(), user=user
        )
        _enqueue(bulk.pk)
    return bulk


def go_on(bulk: BulkAction) -> None:
    """Enqueue the work once more, where it seems to stand still. It may be doubled."""
    with transaction.atomic(using=database()):
        _enqueue(bulk.pk, moved_at=Now())


def standing_still() -> QuerySet[BulkAction]:
    """Unfinished, and not moved for a while: it waits for a worker, or nobody works on it."""
    rows = BulkAction.objects.using(database())
    return rows.filter(finished_at=None, moved_at__lt=Now() - STANDS_STILL)


def sweep() -> None:
    """Go on with what nobody works on any more. Note [It goes on by itself]"""
    found = list(standing_still().filter(created_at__gt=Now() - SWEPT_FOR))
    gone = missing({bulk.task_id for bulk in found})
    for bulk in found:
        if bulk.task_id in gone:
            go_on(bulk)
            logger.warning("bulk=%d event=recovered", bulk.pk)


def _enqueue(bulk_id: int, **changes: Any) -> None:
    task_id = enqueue_with_row(work, bulk_id)
    BulkAction.objects.using(database()).filter(pk=bulk_id).update(task_id=task_id, **changes)


@task(priority=-1)  # of the queue: one worker is kept from what waits in the background
def work(bulk_id: int) -> None:
    """Work on this action for a while. May run twice, and at the same time."""
    rows = BulkAction.objects.using(database()).filter(pk=bulk_id)
    for bulk in rows.filter(total=None):
        rows.update(total=rest(bulk).count())
    until = monotonic() + TURN
    while _page(bulk_id):
        if monotonic() > until:
            with transaction.atomic(using=database()):
                _enqueue(bulk_id)
            return


def rest(bulk: BulkAction) -> NotificationQuerySet:
    """What is behind the cursor, oldest first."""
    rows = Selection.read(bulk.selection).rows().using(database()).filter(pk__lte=bulk.through)
    if bulk.cursor:
        rows = rows.filter(pk__gt=bulk.cursor)
    return rows.order_by("pk")


def _page(bulk_id: int) -> bool:
    """Work on one page. Says whether there may be another. Note [The cursor commits with the work]."""
    with transaction.atomic(using=database()):
        unfinished = BulkAction.objects.using(database()).select_for_update().filter(finished_at=None)
        bulk = next((action for action in unfinished.order_by("pk") if action.pk == bulk_id), None)
        if bulk is None:
            return False
        page = list(rest(bulk).select_related("owner")[:PAGE])
        for notification in page:
            try:
                act_on_one(bulk.kind, notification)
                bulk.done += 1
            except (InvalidStatus, ValidationError, RecipientLimitReached) as error:
                bulk.failed += 1
                logger.info(
                    "bulk=%d notification=%s refused=%s", bulk_id, notification.pk, type(error).__name__
                )
        more = len(page) == PAGE
        bulk.cursor = page[-1].pk if page else bulk.cursor
        bulk.moved_at = Now()
        bulk.finished_at = None if more else Now()
        bulk.save(update_fields=["done", "failed", "cursor", "moved_at", "finished_at"])
    if not more:
        logger.info(
            "bulk=%d kind=%s event=finished done=%d failed=%d", bulk_id, bulk.kind, bulk.done, bulk.failed
        )
    return more
