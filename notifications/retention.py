"""How long things are kept: what is over is deleted when its time has come, and what is about a person on request.

    NOTIFICATIONS_KEEP_DAYS=sent=30,failed=90,cancelled=30,tasks=7

What is not named there is kept for ever; what is unfinished or `unknown` always is. `tasks` are the results that tasks
leave (django-q2's rows): the notification itself tells what became of it.
"""

import json
from collections import Counter
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.tasks import task_backends

from . import limits, metrics
from .channels import channels
from .conf import notification_settings
from .models import FINAL, IdempotencyKey, Notification, NotificationQuerySet, Status, database

TASKS = "tasks"  # stands beside the statuses in the setting
PAGE = 500  # notifications that are deleted in one transaction: nobody should wait for more


def prune(*, dry_run: bool = False, pages: int | None = None) -> Counter[str]:
    """Delete the notifications, with their attempts, whose time is over. Returns how many, by what they are.

    At most `pages` pages of each, and all there is without it. Any number of processes may do it at once:
    what another one has deleted is not there to be found.
    """
    pruned: Counter[str] = Counter()
    for status, days in notification_settings().keep_days.items():
        age = timedelta(days=days)
        if status == TASKS:
            pruned[status] = _prune_results(age, pages, dry_run=dry_run)
            continue
        expired = _expired(status, age)
        if dry_run:
            pruned[status] = expired.count()
        else:
            pruned[status] = _delete(expired, pages)
    return +pruned


def forget(recipient: str, *, dry_run: bool = False) -> Counter[str]:
    """Erase what is kept about a recipient, whatever became of it. Returns how many of each thing.

    Notifications and their attempts are deleted, so what was waiting is not sent; what is being sent at this
    moment arrives, and leaves nothing. The answers that were kept for repeated requests lose their body, and
    their keys stay: a request that is repeated must not send again. The suppression list stays: it is the
    recipient's own wish. The case of ASCII letters does not matter, nor whether the recipient is spelled as it
    was given or as it is stored.
    """
    named, answered = Q(), Q()
    for spelling in (spellings := channels.spellings(recipient)):
        named |= Q(recipient__iexact=spelling)
        answered |= Q(body__icontains=json.dumps(spelling, ensure_ascii=False))  # as the answers are written
    rows = Notification.objects.using(database()).filter(named)
    answers = IdempotencyKey.objects.filter(answered)
    counts = limits.counted(spellings)
    if dry_run:
        found = {"notifications": rows.count(), "answers": answers.count(), "counts": counts.count()}
    else:
        found = {
            "notifications": _delete(rows),
            "answers": answers.update(body="{}"),
            "counts": counts.delete()[0],
        }
    return +Counter(found)


def _expired(status: str, age: timedelta) -> NotificationQuerySet:
    """Nothing ends before it began: so the index of `created_at` leads to the oldest, and none of its own is needed."""
    moment = Now() - age
    rows = Notification.objects.using(database())
    return rows.filter(status=status, created_at__lt=moment, finished_at__lt=moment)


def _prune_results(age: timedelta, pages: int | None, *, dry_run: bool) -> int:
    pruned = 0
    for backend in task_backends.all():
        while hasattr(backend, "prune") and pages != 0:
            count = backend.prune(age, PAGE, dry_run=dry_run)
            pruned += count
            pages = None if pages is None else pages - 1
            if dry_run or count < PAGE:
                break
    return pruned


def _delete(rows: NotificationQuerySet, pages: int | None = None) -> int:
    deleted = 0
    while pages is None or pages > 0:
        page = list(rows.order_by("created_at", "id").values_list("pk", flat=True)[:PAGE])
        if not page:
            break
        metrics.count_attempts()  # before they are gone: totals never fall
        with transaction.atomic(using=database()):
            _, by_model = rows.filter(pk__in=page).delete()
        deleted += by_model.get("notifications.Notification", 0)
        if len(page) < PAGE:
            break
        pages = None if pages is None else pages - 1
    return deleted


def keepable() -> set[str]:
    """What NOTIFICATIONS_KEEP_DAYS may name."""
    return {*(Status(status).value for status in FINAL), TASKS}
