"""The id of the request that is being answered, or that started the work being done now.

A context variable: it goes along into threads that copy the context, as the pool's do. Into another process it
goes on the notification's row. `RequestIdFilter` puts it on every line of the log.
"""

import logging
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")


class RequestIdFilter(logging.Filter):
    """Gives each record a `request_id`, "-" where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            # Django logs an answer of 4xx or 5xx when the middleware has ended, but says which request it was.
            request = getattr(record, "request", None)
            record.request_id = request_id.get() or getattr(request, "request_id", "") or "-"
        return True
