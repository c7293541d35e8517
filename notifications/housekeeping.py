"""What every worker's process does beside its tasks, every few seconds."""

from django.tasks import task_backends

from . import bulk, heartbeat, retention, services


def housekeep() -> None:
    """Say that it lives, forget what is old, and go on with what somebody else has left behind."""
    if heartbeat.beat():
        services.prune()
        retention.prune(pages=1)  # the next beat goes on: a drain must not wait for a large one
        bulk.sweep()
    for backend in task_backends.all():
        if hasattr(backend, "housekeep"):
            backend.housekeep()
    services.recover()
