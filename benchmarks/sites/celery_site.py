"""The job as a Celery task, and Celery's settings."""

import os

from celery import Celery

from . import job

app = Celery("bench", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(
    task_default_queue=os.environ["BENCH_QUEUE"],
    task_acks_late=bool(os.environ["BENCH_ACKS_LATE"]),
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="deliver")
def deliver(recipient: str) -> None:
    job.deliver(recipient)


def enqueue(recipient: str) -> None:
    deliver.delay(recipient)
