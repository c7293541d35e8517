"""The job as a task of Django's own framework: django-tasks-db and threadmill."""

from collections.abc import Iterable

from django.db import transaction
from django.tasks import task

from . import job


@task
def deliver(recipient: str) -> None:
    job.deliver(recipient)


def enqueue(recipient: str) -> None:
    deliver.enqueue(recipient)


def fill(recipients: Iterable[str]) -> None:
    with transaction.atomic():
        for recipient in recipients:
            enqueue(recipient)
