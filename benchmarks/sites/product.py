"""Fill the product's tables through its own code: the row and the queue entry of each in one transaction."""

from collections.abc import Iterable
from itertools import batched

from django.db import transaction

from notifications import tasks
from notifications.backends.enqueueing import enqueue_many
from notifications.models import Notification


def fill(recipients: Iterable[str]) -> None:
    for batch in batched(recipients, 1000):
        channel = "slow" if batch[0].startswith("s") else "log"
        rows = [
            Notification(recipient=recipient, message="some notification", channel=channel, via="queue")
            for recipient in batch
        ]
        with transaction.atomic():
            task_ids = enqueue_many((tasks.deliver, [[str(row.id)]]) for row in rows)
            for row, task_id in zip(rows, task_ids, strict=True):
                row.task_id = task_id
            Notification.objects.bulk_create(rows)
