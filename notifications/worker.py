"""The Celery worker as `project/celery.py` wires it: its housekeeping is the one of `manage.py qcluster`."""

from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from . import housekeeping
from .backends.celery.app import aliases
from .conf import notification_settings
from .senders import wait_idle

if TYPE_CHECKING:
    from celery import Celery

INTERVAL = 2.0  # seconds between two rounds of housekeeping


def app(alias: str = "") -> "Celery":
    """That of this alias of TASKS, or of the first that has the Celery backend.

    Raises ImproperlyConfigured where none has, or this one has not.
    """
    known = aliases()
    if alias and alias not in known:
        raise ImproperlyConfigured(f"TASKS[{alias!r}] has not the Celery backend.")
    if not known:
        raise ImproperlyConfigured(
            "No alias of TASKS has the Celery backend: set CELERY_BROKER_URL, such as amqp://guest@localhost//."
        )
    from .backends.celery.worker import worker_app

    return worker_app(alias or known[0], housekeeping=housekeeping.housekeep, interval=INTERVAL, leave=_leave)


def _leave() -> None:
    """Sends under way on threads end before their process does; past a lease the sweep has them anyway."""
    wait_idle(notification_settings().lease.total_seconds())
