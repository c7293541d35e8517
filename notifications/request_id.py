"""The ids of what is being done now: the request that started it, and the notification that is handled.

Context variables: they go along into threads that copy the context, as the pool's do. Into another process the
request's id goes on the notification's row. `IdsFilter` puts both on every line of the log.
"""

import logging
from contextvars import ContextVar
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="")
# Set while exactly one is handled; who handles many names them in the line.
notification_id: ContextVar[str] = ContextVar("notification_id", default="")


class IdsFilter(logging.Filter):
    """Gives each record a `request_id`, "-" where there is none, and a `notification`, "" where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs an answer of 4xx or 5xx when the middleware has ended, but says which request it was.
        request = getattr(record, "request", None)
        if not hasattr(record, "request_id"):
            record.request_id = request_id.get() or getattr(request, "request_id", "") or "-"
        if not hasattr(record, "notification"):
            match = getattr(request, "resolver_match", None)
            asked_for = match.kwargs.get("pk", "") if match else ""
            record.notification = notification_id.get() or str(asked_for)
        return True


class RouteFilter(logging.Filter):
    """In Django's lines about a request, the route instead of the path: an address may be in the path."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        path = getattr(request, "path", None)
        if path and isinstance(record.args, tuple):
            record.args = tuple(route_of(request) if value == path else value for value in record.args)
        return True


def route_of(request: Any) -> str:
    """The pattern of the address that was asked for; not the address, of which there are too many to count."""
    match = request.resolver_match
    return match.view_name or match.route if match else "none"
