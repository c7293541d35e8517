"""What a function asks for, read from its signature: `BackgroundTasks` by annotation, `Depends` by marker.

Reading only; `injection` solves and calls. A function's needs are read once and kept.
"""

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Optional, Union
from weakref import WeakKeyDictionary

from django.http import HttpRequest

from .calls import FORMAT, is_async, is_generator, layers, name_of
from .tasks import BackgroundTasks


@dataclass(frozen=True, slots=True)
class Depends:
    """A parameter's value is what `dependency` returns (or yields) for this request.

    Without one it is an instance of the class that the parameter's annotation names, made for this request.
    Give it as a default, `x=Depends(f)`, or as `Annotated[X, Depends(f)]`. A dependency may ask for
    `BackgroundTasks`, for further dependencies, for `request`, and for arguments of the URL by their names.
    With `use_cache` it is called once a request, however many ask for it.
    """

    dependency: Callable[..., Any] | None = None
    use_cache: bool = True


@dataclass(frozen=True, slots=True)
class Tasks:
    """The request's `BackgroundTasks`, made as `kind` if this is the first to ask."""

    kind: type[BackgroundTasks]


@dataclass(frozen=True, slots=True)
class Dependency:
    """What `func` gives this request."""

    func: Callable[..., Any]
    use_cache: bool
    yields: bool  # it, or what its decorators wrap, is a generator function, sync or async
    is_deferred: bool  # calling it only makes a coroutine or a generator, so that may be done anywhere


@dataclass(frozen=True, slots=True)
class TheRequest:
    """The request, as the view got it."""


@dataclass(frozen=True, slots=True)
class FromURL:
    """The URL's argument of the parameter's name. `required`: the parameter has no default."""

    required: bool


type Source = Tasks | TheRequest | FromURL | Dependency


@dataclass(frozen=True, slots=True)
class Need:
    name: str
    position: int | None  # among the positional parameters; None: by keyword only
    source: Source


type Needs = tuple[Need, ...]

# What an annotation may name that its module imports for the type checker alone.
NAMES = {
    "Annotated": Annotated,
    "BackgroundTasks": BackgroundTasks,
    "Depends": Depends,
    "Optional": Optional,
    "Union": Union,
}

# What it raises to evaluate another parameter's type, which only the type checker knows.
UNKNOWN = (NameError, AttributeError, TypeError, SyntaxError)

_known: WeakKeyDictionary[Callable[..., Any], Needs] = WeakKeyDictionary()
_known_dependencies: WeakKeyDictionary[Callable[..., Any], Needs] = WeakKeyDictionary()


def needs_of(func: Callable[..., Any]) -> Needs:
    """What a view or handler asks for. Empty for most, and for what has no signature.

    Raises `TypeError` for what cannot be given: a `Depends()` without a class, a parameter by position only.
    """
    return _remember(_known, func, dependency=False)


def needs_of_dependency(func: Callable[..., Any]) -> Needs:
    """What a dependency asks for: its own needs, and `request` and the URL's arguments besides."""
    return _remember(_known_dependencies, func, dependency=True)


def _remember(
    known: WeakKeyDictionary[Callable[..., Any], Needs], func: Callable[..., Any], *, dependency: bool
) -> Needs:
    try:
        return known[func]
    except KeyError:
        known[func] = needs = _read(func, dependency=dependency)
        return needs
    except TypeError:  # no weak reference to it: a bound method of a slotted object, say
        return _read(func, dependency=dependency)


def _read(func: Callable[..., Any], *, dependency: bool) -> Needs:
    inner = hidden_function(func)
    try:
        signature = inspect.signature(inner, **FORMAT)
    except (TypeError, ValueError):
        return ()
    namespace = _namespace(inner)
    needs = []
    own = func.__code__.co_argcount if inner is not func else 0  # what the handler keeps to itself: `self`
    for position, parameter in enumerate(signature.parameters.values(), own):
        source = _source(parameter, namespace, dependency=dependency)
        if source is not None:
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise TypeError(
                    f"{name_of(inner)} takes {parameter.name!r} by position only, but what it asks for is given by "
                    "name: leave out the '/' behind it."
                )
            by_keyword = parameter.kind is parameter.KEYWORD_ONLY
            needs.append(Need(parameter.name, None if by_keyword else position, source))
    return tuple(needs)


def hidden_function(func: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a handler passes everything to, where the handler itself says only `*args, **kwargs`.

    REST framework's `@api_view` makes such a handler without `functools.wraps`; its closure holds the
    function.
    """
    code, closure = getattr(func, "__code__", None), getattr(func, "__closure__", None)
    if code is None or closure is None or code.co_freevars != ("func",) or hasattr(func, "__wrapped__"):
        return func
    passes_all = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    if code.co_flags & passes_all != passes_all or code.co_kwonlyargcount:
        return func
    hidden = closure[0].cell_contents
    return hidden if inspect.isroutine(hidden) else func


def _namespace(func: Callable[..., Any]) -> Mapping[str, Any]:
    *_, inner = layers(func)
    if inspect.isclass(inner):
        inner = inner.__init__
    return getattr(inner, "__globals__", {})


def _source(parameter: inspect.Parameter, namespace: Mapping[str, Any], *, dependency: bool) -> Source | None:
    parts = tuple(_parts(parameter.annotation, namespace))
    for marker in (parameter.default, *parts):
        if isinstance(marker, Depends):
            return _dependency(marker, parameter.name, parts)
    for part in filter(inspect.isclass, parts):
        if issubclass(part, BackgroundTasks):
            return Tasks(part)
        if dependency and issubclass(part, HttpRequest):
            return TheRequest()
    if not dependency or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return None
    if parameter.name == "request":
        return TheRequest()
    if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is not parameter.empty:
        return None
    return FromURL(required=parameter.default is parameter.empty)


def _dependency(marker: Depends, name: str, parts: tuple[Any, ...]) -> Dependency:
    func = marker.dependency
    if func is None:
        func = next(filter(inspect.isclass, parts), None)
    if func is None:
        raise TypeError(f"Depends() takes the class from the annotation, but that of {name!r} names none.")
    return Dependency(
        func,
        marker.use_cache,
        yields=any(is_generator(layer) for layer in layers(func)),
        is_deferred=is_async(func) or is_generator(func),
    )


def _parts(annotation: Any, namespace: Mapping[str, Any]) -> Iterator[Any]:
    """The types and markers in it: through strings, aliases, unions and `Annotated`, however they are nested."""
    annotation = _evaluate(annotation, namespace)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        annotation, *metadata = typing.get_args(annotation)
        yield from (item for item in metadata if isinstance(item, Depends))
        yield from _parts(annotation, namespace)
    elif origin in (Union, types.UnionType):
        for option in typing.get_args(annotation):
            yield from _parts(option, namespace)
    elif isinstance(annotation, typing.TypeAliasType):
        with suppress(*UNKNOWN):
            yield from _parts(annotation.__value__, namespace)
    elif annotation is not inspect.Parameter.empty and annotation is not types.NoneType:
        yield annotation


def _evaluate(annotation: Any, namespace: Mapping[str, Any]) -> Any:
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if not isinstance(annotation, str):
        return annotation
    for names in (namespace, {**NAMES, **namespace}):
        try:
            return eval(annotation, dict(names))  # noqa: S307  the source's own annotation
        except UNKNOWN:
            continue
    return annotation
