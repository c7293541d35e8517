"""The job as a procrastinate task."""

from collections.abc import Iterable
from itertools import batched

from procrastinate.contrib.django import app

from . import job


@app.task(name="deliver")
def deliver(recipient: str) -> None:
    job.deliver(recipient)


def enqueue(recipient: str) -> None:
    deliver.defer(recipient=recipient)


def fill(recipients: Iterable[str]) -> None:
    for batch in batched(recipients, 500):
        deliver.batch_defer(*({"recipient": recipient} for recipient in batch))
