"""The `celery` backend: a Django task runs in `celery -A project worker`, on any number of machines.

    TASKS["celery"] = {
        "BACKEND": "notifications.backends.celery.CeleryBackend",
        "OPTIONS": {"BROKER_URL": "amqp://user:password@host:5672//"},  # or redis://host:6379/0
    }

An optional part: it needs what requirements-celery.txt names. A task is an entry of the database until the
broker has confirmed its message (`outbox`), so that it is enqueued if and only if its transaction commits, and
a broker that is down delays it and loses nothing. `publisher` talks to the broker, `execution` runs in the
worker, `worker` is what a worker does beside its tasks.
"""

from .backend import CeleryBackend

__all__ = ["CeleryBackend"]
