"""Fills what a view asks for: solves dependencies, and calls views and handlers with the result.

Note [When a dependency is solved]
A method of a class-based view is wrapped on the class that defines it, the first time a request goes there,
so its dependencies are solved when the handler is called: after REST framework's authentication, permissions
and throttling, and inside the transaction of ATOMIC_REQUESTS. A function view's are solved just before
Django calls it, that is, before its decorators; with `@inject` as its innermost decorator, after them.
"""

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async

from .calls import FORMAT, outcome
from .dependencies import Dependency, FromURL, Needs, Tasks, TheRequest, needs_of, needs_of_dependency
from .scope import RequestScope, current_scope

_wrapping = threading.Lock()


@dataclass(frozen=True, slots=True)
class Call:
    """A dependency to be called; the driver sends back what it gave."""

    dependency: Dependency
    kwargs: dict[str, Any]


def solve(
    needs: Needs, scope: RequestScope, stack: ExitStack, request: Any, url: Mapping[str, Any]
) -> dict[str, Any]:
    """The values for `needs`, sub-dependencies first. What yields is ended by `stack`."""
    steps, value = _steps(needs, scope, request, url), None
    while True:
        try:
            call = steps.send(value)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        value = outcome(call.dependency.func(**call.kwargs))
        if call.dependency.yields and inspect.isgenerator(value):
            value = stack.enter_context(contextmanager(_itself)(value))
        elif call.dependency.yields and inspect.isasyncgen(value):
            value = stack.enter_context(_synced(asynccontextmanager(_itself)(value)))


async def asolve(
    needs: Needs, scope: RequestScope, stack: AsyncExitStack, request: Any, url: Mapping[str, Any]
) -> dict[str, Any]:
    """`solve` for async views: a sync dependency runs in Django's thread for sync code."""
    steps, value = _steps(needs, scope, request, url), None
    while True:
        try:
            call = steps.send(value)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        if call.dependency.is_deferred:
            value = call.dependency.func(**call.kwargs)
        else:
            # A partial, as sync_to_async takes no class whose instances are called async.
            value = await sync_to_async(functools.partial(call.dependency.func, **call.kwargs))()
        if inspect.isawaitable(value):
            value = await value
        elif call.dependency.yields and inspect.isgenerator(value):
            value = await stack.enter_async_context(_threaded(contextmanager(_itself)(value)))
        elif call.dependency.yields and inspect.isasyncgen(value):
            value = await stack.enter_async_context(asynccontextmanager(_itself)(value))


def _steps(
    needs: Needs, scope: RequestScope, request: Any, url: Mapping[str, Any]
) -> Generator[Call, Any, dict[str, Any]]:
    values: dict[str, Any] = {}
    for need in needs:
        source = need.source
        if isinstance(source, Tasks):
            values[need.name] = scope.background_tasks(source.kind)
        elif isinstance(source, TheRequest):
            values[need.name] = request
        elif isinstance(source, FromURL):
            if need.name in url:
                values[need.name] = url[need.name]
            elif source.required:
                raise TypeError(f"A dependency asks for {need.name!r}, which the URL does not give.")
        elif source.use_cache and source.func in scope.solved:
            values[need.name] = scope.solved[source.func]
        else:
            kwargs = yield from _steps(needs_of_dependency(source.func), scope, request, url)
            values[need.name] = scope.solved[source.func] = yield Call(source, kwargs)
    return values


def _itself(generator: Any) -> Any:
    """For `contextmanager`, which calls a function to get its generator: here it is there."""
    return generator


@contextmanager
def _synced(manager: Any) -> Generator[Any]:
    with asyncio.Runner() as runner:  # one loop for both ends: a loop that closes ends its generators
        value = runner.run(manager.__aenter__())
        with ExitStack() as stack:
            stack.push(lambda *details: runner.run(manager.__aexit__(*details)))
            yield value


@asynccontextmanager
async def _threaded(manager: Any) -> Any:
    value = await sync_to_async(manager.__enter__)()
    async with AsyncExitStack() as stack:
        stack.push_async_exit(sync_to_async(manager.__exit__))
        yield value


def inject[F: Callable[..., Any]](func: F) -> F:
    """Solve what `func` asks for when it is called inside a request. An argument that is given stays.

    Views need it only to be solved after their decorators: Note [When a dependency is solved].
    """
    needs = needs_of(func)
    if not needs or getattr(func, "injected", False):
        return func

    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def ainjected(*args: Any, **kwargs: Any) -> Any:
            missing = _missing(needs, args, kwargs)
            if not missing:
                return await func(*args, **kwargs)
            scope = _scope(func)
            async with AsyncExitStack() as stack:
                kwargs |= await asolve(missing, scope, stack, _request(args, scope), kwargs)
                return await func(*args, **kwargs)
            raise _swallowed(func)

        wrapper: Any = ainjected
    else:

        @functools.wraps(func)
        def injected(*args: Any, **kwargs: Any) -> Any:
            missing = _missing(needs, args, kwargs)
            if not missing:
                return func(*args, **kwargs)
            scope = _scope(func)
            with ExitStack() as stack:
                kwargs |= solve(missing, scope, stack, _request(args, scope), kwargs)
                return func(*args, **kwargs)
            raise _swallowed(func)

        wrapper = injected
    wrapper.injected = True
    wrapper.__signature__ = _what_is_left(func, needs)
    return wrapper  # type: ignore[no-any-return]


def _what_is_left(func: Callable[..., Any], needs: Needs) -> inspect.Signature:
    """What a caller still gives: who reads it to know what to take from a request must not look for the rest there."""
    signature, given = inspect.signature(func, **FORMAT), {need.name for need in needs}
    return signature.replace(parameters=[p for p in signature.parameters.values() if p.name not in given])


def _missing(needs: Needs, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Needs:
    return tuple(
        need
        for need in needs
        if need.name not in kwargs and (need.position is None or need.position >= len(args))
    )


def _scope(func: Callable[..., Any]) -> RequestScope:
    scope = current_scope.get()
    if scope is None:
        raise RuntimeError(
            f"{func.__qualname__} asks for background tasks, but there is no request: add "
            "notifications.background.middleware.BackgroundTasksMiddleware to MIDDLEWARE, or pass them."
        )
    return scope


def _swallowed(func: Callable[..., Any]) -> RuntimeError:
    return RuntimeError(
        f"{func.__qualname__} raised, and a dependency of it that yields kept the exception to itself: "
        "there is no response. It must raise that one again, or another."
    )


def _request(args: tuple[Any, ...], scope: RequestScope) -> Any:
    """The request as the view got it: REST framework's has the authenticated user."""
    return next((arg for arg in args[:2] if hasattr(arg, "META")), scope.request)


def prepare(view: Callable[..., Any]) -> tuple[Needs, bool]:
    """What to fill before `view` is called, and whether it asks for anything, now or in its handlers."""
    cls = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if inspect.isclass(cls):
        names = {*getattr(cls, "http_method_names", ()), *(getattr(view, "actions", None) or {}).values()}
        return (), _wrap_handlers(cls, frozenset(names))  # type: ignore[arg-type]  # classes are hashable
    if getattr(inspect.unwrap(view, stop=lambda f: getattr(f, "injected", False)), "injected", False):
        return (), True
    needs = needs_of(view)
    return needs, bool(needs)


@functools.cache
def _wrap_handlers(cls: type, names: frozenset[str]) -> bool:
    """Wrap the handlers of `cls` where they are defined. True if one of them asks for anything."""
    wanted = False
    with _wrapping:
        for owner in cls.__mro__:
            for name in names & owner.__dict__.keys():
                handler = owner.__dict__[name]
                if inspect.isroutine(handler):
                    wrapped = inject(handler)
                    if wrapped is not handler:
                        setattr(owner, name, wrapped)
                    wanted = wanted or hasattr(wrapped, "injected")
    return wanted
