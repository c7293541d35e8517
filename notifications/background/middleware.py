"""Gives each request its `BackgroundTasks` and hands them over after the last byte. Goes last in MIDDLEWARE.

Note [The client that left]
Under ASGI Django cancels the view when the client leaves, and throws the response away. A view that uses
background tasks is shielded: it runs to its end, and its tasks after it, as they would under WSGI. Others
are cancelled as ever. What goes wrong while the response is being sent is the part of `asgi`.
"""

import asyncio
import contextvars
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.core.signals import got_request_exception
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase

from .asgi import open_scopes
from .dependencies import Needs
from .injection import asolve, prepare, solve
from .scope import RequestScope, current_scope
from .tasks import collector


class BackgroundTasksMiddleware:
    """For sync and async servers. A request that asks for no background tasks passes through."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = inspect.iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
            # Django would call a sync `process_view` in a thread, for each request.
            self.process_view: Callable[..., Any] = self._aprocess_view
        else:
            self.process_view = self._process_view

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._acall(request)
        scope = _open(request)
        tokens = collector.set(scope), current_scope.set(scope)
        try:
            response: HttpResponseBase = self.get_response(request)
            scope.leave(response)
        except BaseException as error:
            scope.error = error
            scope.hand_over()
            raise
        finally:
            collector.reset(tokens[0])
            current_scope.reset(tokens[1])
        scope.close_with(request)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        scope = _open(request)
        tokens = collector.set(scope), current_scope.set(scope)
        try:
            response = await self._shielded(request, scope)
        except BaseException as error:
            scope.error = scope.error or error
            await _hand_over(scope)
            raise
        finally:
            collector.reset(tokens[0])
            current_scope.reset(tokens[1])
        scope.close_with(request)
        return response

    async def _shielded(self, request: HttpRequest, scope: RequestScope) -> HttpResponseBase:
        """The view's response. Note [The client that left]"""
        view = asyncio.ensure_future(self._answer(request, scope))
        left: asyncio.CancelledError | None = None
        while True:
            try:
                response = await asyncio.shield(view)
                break
            except asyncio.CancelledError as error:
                if view.done():
                    raise
                left = error
                if not scope.wanted:
                    view.cancel()
        _adopt(view.get_context())
        if left is not None:
            await _hand_over(scope)
            raise left
        return response

    async def _answer(self, request: HttpRequest, scope: RequestScope) -> HttpResponseBase:
        response: HttpResponseBase = await self.get_response(request)
        await scope.aleave(response)
        return response

    def _process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        scope = _current()
        if missing := _missing(scope, view, kwargs):
            with scope.catching():
                _give(request, kwargs, solve(missing, scope, scope.exits, request, kwargs))

    async def _aprocess_view(
        self, request: HttpRequest, view: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        scope = _current()
        if missing := _missing(scope, view, kwargs):
            with scope.catching():
                _give(request, kwargs, await asolve(missing, scope, scope.async_exits, request, kwargs))

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        _current().error = exception


@receiver(got_request_exception)
def _learn_of_error(**kwargs: Any) -> None:
    """What Django raises after the view, for one that returned no response, passes by `process_exception`."""
    scope = current_scope.get()
    if scope is not None:
        scope.error = scope.error or sys.exc_info()[1]


def _open(request: HttpRequest) -> RequestScope:
    scope = RequestScope(request)
    scopes = open_scopes.get()
    if scopes is not None:
        scopes.append(scope)
    return scope


def _current() -> RequestScope:
    scope = current_scope.get()
    if scope is None:
        raise RuntimeError("BackgroundTasksMiddleware: the context of the request has been lost.")
    return scope


def _missing(scope: RequestScope, view: Callable[..., Any], kwargs: dict[str, Any]) -> Needs:
    """What the view asks for and the URL does not give. The scope learns whether tasks are among it."""
    needs, wanted = prepare(view)
    scope.wanted = scope.wanted or wanted
    return tuple(need for need in needs if need.name not in kwargs)


def _give(request: HttpRequest, kwargs: dict[str, Any], values: dict[str, Any]) -> None:
    """Have Django call the view with `values` besides."""
    # It calls with the dictionary that is also the resolver match's: who logs that, or reverses by it, is to find
    # what the URL gave.
    request.resolver_match.kwargs = kwargs.copy()  # type: ignore[union-attr]  # set before this hook is called
    kwargs |= values


async def _hand_over(scope: RequestScope) -> None:
    """In a thread: a full pool may make the caller wait, and the caller must not be the event loop."""
    await sync_to_async(scope.hand_over, thread_sensitive=False)()


def _adopt(context: contextvars.Context) -> None:
    """Show the view's context variables to the middleware around, as if it had run in this task."""
    for variable, value in context.items():
        if variable.get(None) is not value:
            variable.set(value)
