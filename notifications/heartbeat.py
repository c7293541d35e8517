"""Clusters say that they live: `/readyz` and the operator's pages hear it, on whatever host they run."""

import os
import socket
import time
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now
from django.tasks import task_backends

from .backends.enqueueing import running_on
from .models import Heartbeat, database

EVERY = 10.0  # seconds between two beats of a cluster
FORGET_AFTER = timedelta(hours=1)  # a cluster that has not been heard of for so long is no longer listed

_beaten_at = -EVERY


def beat() -> bool:
    """Renew this cluster's row, if it is time, and say whether it was."""
    global _beaten_at
    if time.monotonic() - _beaten_at < EVERY:
        return False
    queue = os.environ.get("Q_CLUSTER_NAME") or settings.Q_CLUSTER.get("name", "default")
    name = getattr(task_backends[running_on.get()], "beats_as", "{worker} {queue}")
    mine = Heartbeat(
        cluster=name.format(worker=f"{socket.gethostname()}:{os.getpid()}", queue=queue), seen_at=Now()
    )
    rows = Heartbeat.objects.using(database())
    rows.bulk_create([mine], update_conflicts=True, unique_fields=["cluster"], update_fields=["seen_at"])
    old = rows.filter(seen_at__lt=Now() - FORGET_AFTER)
    if old.exists():
        old.delete()
    _beaten_at = time.monotonic()
    return True
