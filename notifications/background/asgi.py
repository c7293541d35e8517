"""One line around the ASGI application: `application = background_tasks(get_asgi_application())`.

It hands over what a broken connection would lose while the response is being sent, and drains the pool when
the server stops, through ASGI's lifespan: uvicorn ends by the signal itself and runs no exit code.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from asgiref.sync import sync_to_async

from . import pool
from .scope import RequestScope

type ASGIApplication = Callable[
    [Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]

# The requests that the middleware has opened inside one call of the application.
open_scopes: ContextVar[list[RequestScope] | None] = ContextVar("open_scopes", default=None)


def background_tasks(application: ASGIApplication) -> ASGIApplication:
    """Wrap Django's ASGI application. Answers the lifespan protocol itself; the rest goes through."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        scopes: list[RequestScope] = []
        token = open_scopes.set(scopes)
        try:
            await application(scope, receive, send)
        finally:
            open_scopes.reset(token)
            for request_scope in scopes:
                if not request_scope.handed_over:
                    await sync_to_async(request_scope.hand_over, thread_sensitive=False)()

    return wrapped


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await sync_to_async(pool.shutdown, thread_sensitive=False)()
            await send({"type": "lifespan.shutdown.complete"})
            return
