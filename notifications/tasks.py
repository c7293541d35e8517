"""The corridor: functions that can be enqueued. Django's TASKS setting decides where they run."""

from collections.abc import Sequence

from django.tasks import Task, task

from . import concurrent, delivery, tracing
from .backends.enqueueing import enqueue_many, running_on
from .backends.mergeable import mergeable
from .channels import channels
from .schedule import Due


@task
@mergeable
def deliver(notification_ids: list[str]) -> None:
    """Deliver these notifications. May run twice; the second run changes nothing."""
    delivery.deliver(notification_ids, reschedule=deliver_later)


@task(priority=-1)  # of the queue: one worker is kept from what waits in the background
@mergeable
def deliver_slowly(notification_ids: list[str]) -> None:
    """The same for channels that wait on the network: a lane of its own, and a thread for each."""
    concurrent.deliver_concurrently(notification_ids, reschedule=deliver_later)


@task
def deliver_alone(notification_ids: list[str]) -> None:
    """The same, never merged with others: one of these may have killed the worker that sent it."""
    delivery.deliver(notification_ids, reschedule=deliver_alone_later)


def lane(channel: str) -> Task:
    """The task that delivers what takes this channel, by its alias."""
    return deliver_slowly if channel in channels and channels[channel].concurrent else deliver


def deliver_later(notifications: Sequence[Due]) -> list[str]:
    """Enqueue each for its time, in the caller's transaction. Returns the ids of the tasks."""
    alias = running_on.get()  # Note [What runs here is tried again here]
    return enqueue_many(
        (lane(due.channel).using(run_after=due.at, backend=alias), [[tracing.carried(due.id)]])
        for due in notifications
    )


def deliver_alone_later(notifications: Sequence[Due]) -> list[str]:
    alias = running_on.get()
    return enqueue_many(
        (deliver_alone.using(run_after=due.at, backend=alias), [[tracing.carried(due.id)]])
        for due in notifications
    )
