"""The job as a plain function behind `async_task`."""

from collections.abc import Iterable

from django.db import transaction
from django_q.tasks import async_task


def enqueue(recipient: str) -> None:
    async_task("benchmarks.sites.job.deliver", recipient)


def fill(recipients: Iterable[str]) -> None:
    with transaction.atomic():
        for recipient in recipients:
            enqueue(recipient)
