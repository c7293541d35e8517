"""The front desk: accept, cancel, recover. What the API, the commands and other apps call."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, TaskResult
from django.utils import timezone

from . import recovery, tasks
from .backends.enqueueing import enqueue_with_row
from .channels import channels
from .conf import QUEUE, backend_alias, notification_settings, via_choices
from .models import Notification, database, new_id
from .signals import accepted


def accept(
    *,
    recipient: str,
    message: str,
    subject: str = "",
    channel: str | None = None,
    via: str | None = None,
    due_at: datetime | None = None,
    enqueue: Callable[..., TaskResult] | None = None,
) -> Notification:
    """Take a notification: write its row and enqueue its delivery, in one transaction.

    Call it inside your own transaction and both commit, or roll back, with your work; nothing is sent before
    that. `via` is where it runs: "queue", "thread" or another alias of TASKS; `channel` is an alias of
    CHANNELS. `due_at` (aware) in the future schedules it; what is scheduled waits in the queue. `enqueue` is
    for callers with a better way than the task's own: a request's `background_tasks.add_task`.

    Raises django.core.exceptions.ValidationError, by field, for what cannot be accepted; nothing is stored.
    """
    settings = notification_settings()
    channel = channel or settings.channel
    via = QUEUE if via == DEFAULT_TASK_BACKEND_ALIAS else via or settings.via
    fields = _clean(recipient=recipient, subject=subject, message=message, channel=channel, via=via)

    task, times = tasks.deliver, {}
    if due_at is not None and due_at > timezone.now():
        task, times = task.using(run_after=due_at), {"due_at": due_at, "next_attempt_at": due_at}
    elif via != QUEUE:
        task = task.using(backend=backend_alias(via))

    id = new_id()
    with transaction.atomic(using=database()):
        task_id = enqueue_with_row(task, [str(id)], enqueue=enqueue)
        notification = Notification.objects.create(id=id, task_id=task_id, **fields, **times)
    accepted.send(sender=Notification, notification_id=id, via=via, channel=channel)
    return notification


def cancel(notification: Notification) -> None:
    """Cancel what no worker has claimed yet. Its queue entry finds nothing to do.

    Raises InvalidStatus when it is being sent already, or final.
    """
    notification.cancel()


def recover(*, dry_run: bool = False) -> recovery.Recovered:
    """Hand to the queue what a dead worker or a dead web process held. Safe to call at any time, by anyone."""
    return recovery.recover(tasks.deliver_later, tasks.deliver_alone_later, dry_run=dry_run)


def _clean(**fields: Any) -> dict[str, Any]:
    """The fields as they are stored. Raises ValidationError with everything that is wrong, by field."""
    errors: dict[str, ValidationError] = {}
    if fields["via"] not in via_choices():
        errors["via"] = _unknown("via", via_choices())
    limit = notification_settings().max_message_length
    for name in ("subject", "message"):
        if "\0" in fields[name]:
            errors[name] = ValidationError("Null characters are not allowed.", code="null_characters")
    if len(fields["message"]) > limit:
        errors["message"] = ValidationError(f"A message has at most {limit} characters.", code="max_length")
    if len(fields["subject"]) > 255 or "\n" in fields["subject"] or "\r" in fields["subject"]:
        errors["subject"] = ValidationError(
            "A subject is one line of at most 255 characters.", code="invalid"
        )
    if fields["channel"] not in channels.settings:
        errors["channel"] = _unknown("channel", sorted(channels.settings))
    else:
        try:
            fields["recipient"] = channels[fields["channel"]].clean_recipient(fields["recipient"])
        except ValidationError as error:
            errors["recipient"] = error
    if errors:
        raise ValidationError(errors)
    return fields


def _unknown(name: str, choices: list[str]) -> ValidationError:
    return ValidationError(f"Unknown {name}. Choose one of: {', '.join(choices)}.", code="unknown")
