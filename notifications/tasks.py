"""The corridor: functions that can be enqueued. Django's TASKS setting decides where they run."""

from collections.abc import Sequence
from datetime import datetime

from django.tasks import task

from . import delivery
from .backends.enqueueing import enqueue_many
from .backends.mergeable import mergeable


@task
@mergeable
def deliver(notification_ids: list[str]) -> None:
    """Deliver these notifications. May run twice; the second run changes nothing."""
    delivery.deliver(notification_ids, reschedule=deliver_later)


@task
def deliver_alone(notification_ids: list[str]) -> None:
    """The same, never merged with others: one of these may have killed the worker that sent it."""
    delivery.deliver(notification_ids, reschedule=deliver_alone_later)


def deliver_later(notifications: Sequence[tuple[str, datetime]]) -> list[str]:
    """Enqueue each for its time, in the caller's transaction. Returns the ids of the tasks."""
    return enqueue_many((deliver.using(run_after=due), [[id]]) for id, due in notifications)


def deliver_alone_later(notifications: Sequence[tuple[str, datetime]]) -> list[str]:
    return enqueue_many((deliver_alone.using(run_after=due), [[id]]) for id, due in notifications)
