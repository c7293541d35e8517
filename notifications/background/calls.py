"""What a callable is, and which calls of it can succeed: said when a task is added, while the developer still looks."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync

# Since Python 3.14 annotations are evaluated late: a name that only the type checker knows must not be an error.
FORMAT: dict[str, Any] = {}
if sys.version_info >= (3, 14):
    import annotationlib

    FORMAT = {"annotation_format": annotationlib.Format.FORWARDREF}

# Reading a signature costs as much as all the rest of adding a task.
_signatures: WeakKeyDictionary[Callable[..., Any], inspect.Signature] = WeakKeyDictionary()


def require_call(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise `TypeError` for what could only fail later: not callable, wrong arguments, a generator."""
    if not callable(func):
        raise TypeError(
            f"A background task needs a function, not {func!r}. Pass the function and its arguments "
            "apart: add_task(func, argument), not add_task(func(argument))."
        )
    if is_generator(func):
        raise TypeError(f"{name_of(func)} is a generator function: calling it would run none of its body.")
    try:
        signature = signature_of(func)
    except ValueError:  # some builtins have none
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name_of(func)}: {error}") from None


def signature_of(func: Callable[..., Any]) -> inspect.Signature:
    """What `func` itself takes: a decorator may take other arguments than the function that it wraps.

    Remembered for plain functions. Raises `TypeError` or `ValueError` as `inspect.signature` does.
    """
    if not inspect.isfunction(func):
        return inspect.signature(func, follow_wrapped=False, **FORMAT)
    known = _signatures.get(func)
    if known is None:
        known = _signatures[func] = inspect.signature(func, follow_wrapped=False, **FORMAT)
    return known


def name_of(func: Callable[..., Any]) -> str:
    """`module.qualname`, of the function inside a partial, of the class for a callable object."""
    while isinstance(func, functools.partial):
        func = func.func
    named = func if hasattr(func, "__qualname__") else type(func)
    # A method of a built-in class has no module: its class has one. A bound one names neither.
    module = getattr(getattr(named, "__objclass__", named), "__module__", None)
    return f"{module}.{named.__qualname__}" if module else named.__qualname__


def is_async(func: Callable[..., Any]) -> bool:
    """Whether a call gives a coroutine, as far as one can tell before: what is marked as such, too."""
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(innermost(func))


def is_generator(func: Callable[..., Any]) -> bool:
    """Whether a call gives a generator, sync or async, and runs none of its body."""
    inner = innermost(func)
    return inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)


def layers(func: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """What is called when `func` is, and then what `functools.wraps` says it stands for, to the innermost."""
    layer: Callable[..., Any] | None = func
    while layer is not None:
        layer = innermost(layer)
        yield layer
        layer = getattr(layer, "__wrapped__", None)


def innermost(func: Callable[..., Any]) -> Callable[..., Any]:
    """What is called in the end: inside partials, and `__call__` of a callable object."""
    while isinstance(func, functools.partial):
        func = func.func
    if not (inspect.isroutine(func) or inspect.isclass(func)):
        func = type(func).__call__
    return func


def outcome(value: Any) -> Any:
    """What a call comes to: an awaitable that it returned is run to its end, on a loop of its own."""
    return async_to_sync(_finish)(value) if inspect.isawaitable(value) else value


async def _finish(awaitable: Any) -> Any:
    return await awaitable
