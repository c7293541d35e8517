"""What the door says, and what it logs, while the database is away."""

import logging
from time import monotonic

from django.db import InterfaceError, OperationalError
from rest_framework import status
from rest_framework.exceptions import APIException

logger = logging.getLogger("notifications.api")

AWAY = OperationalError | InterfaceError
TRACEBACK_EVERY = 10.0  # seconds between two of a process

_traced_at = -TRACEBACK_EVERY


class DatabaseAway(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "database_away"
    default_detail = "The database cannot be used at the moment. Ask again."
    wait = 1  # seconds; DRF makes Retry-After of it


def log_away(error: Exception, view: str) -> None:
    """A line for each request. Their tracebacks are one and the same, and some hundred a second would fill a disk."""
    global _traced_at
    is_time = monotonic() >= _traced_at + TRACEBACK_EVERY
    if is_time:
        _traced_at = monotonic()
    text = (str(error).splitlines() or [""])[0]
    logger.error("database=away view=%s error=%s", view, text, exc_info=error if is_time else None)
