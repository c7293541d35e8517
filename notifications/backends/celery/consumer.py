"""Celery's consumer without its delayed delivery.

With quorum queues it would make 28 queues for messages that wait in the broker. Ours wait in the database.
"""

from celery.worker.consumer import Consumer as CeleryConsumer

DELAYED = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class Consumer(CeleryConsumer):  # type: ignore[misc]
    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        default_steps = [step for step in CeleryConsumer.Blueprint.default_steps if step != DELAYED]
