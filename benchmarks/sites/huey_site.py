"""The job as a huey task."""

from huey.contrib.djhuey import task

from . import job


@task()
def deliver(recipient: str) -> None:
    job.deliver(recipient)


def enqueue(recipient: str) -> None:
    deliver(recipient)
