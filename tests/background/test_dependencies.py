"""What may be a dependency (row I6), in sync and async views."""

import functools
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.views import View

from notifications.background import BackgroundTasks, Depends, testing
from notifications.background.dependencies import needs_of

from . import work
from .work import note


# Each can be a function, a method or an object's `__call__`.
def returns(self: Any = None, *, tasks: BackgroundTasks) -> str:
    tasks.add_task(note, "task")
    return "value"


async def areturns(self: Any = None, *, tasks: BackgroundTasks) -> str:
    tasks.add_task(note, "task")
    return "value"


def yields(self: Any = None, *, tasks: BackgroundTasks) -> Any:
    tasks.add_task(note, "task")
    yield "value"
    note("exit")


async def ayields(self: Any = None, *, tasks: BackgroundTasks) -> Any:
    tasks.add_task(note, "task")
    yield "value"
    note("exit")


def decorated(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def called(func: Callable[..., Any]) -> Any:
    return type("Called", (), {"__call__": func})()


FORMS: dict[str, Callable[..., Any]] = {
    "function": lambda func: func,
    "partial": functools.partial,
    "method": lambda func: types.MethodType(func, "self"),
    "object": called,
    "partial object": lambda func: functools.partial(called(func)),
    "decorated": decorated,
    "decorated partial": lambda func: decorated(functools.partial(func)),
    "decorated object": lambda func: decorated(called(func)),
    "object with a decorated call": lambda func: called(decorated(func)),
    "twice decorated object with a decorated call": lambda f: decorated(decorated(called(decorated(f)))),
}


def view_with(dependency: Any) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, value: Any = dependency) -> HttpResponse:
        note("view")
        return HttpResponse(str(value))

    return view


def numbered_with(func: Callable[..., Any]) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, number: int, value: Any = Depends(func)) -> HttpResponse:
        return HttpResponse(str(value))

    return view


def aview_with(dependency: Any) -> Callable[..., Any]:
    async def view(request: HttpRequest, value: Any = dependency) -> HttpResponse:
        note("view")
        return HttpResponse(str(value))

    return view


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return FORMS[request.param]


@pytest.mark.parametrize("func", [returns, areturns, yields, ayields])
def test_I6_every_kind_of_dependency(client: Client, settings, form, func) -> None:
    """I6: what yields is run to its yield and ended before the tasks, which are not lost, whatever its form."""
    settings.ROOT_URLCONF = (path("", view_with(Depends(form(func)))),)
    with testing.run_inline():
        assert client.get("/").content == b"value"
    assert work.diary == (["view", "exit", "task"] if func in (yields, ayields) else ["view", "task"])


@pytest.mark.slow
@pytest.mark.parametrize("func", [returns, areturns, yields, ayields])
async def test_I6_every_kind_in_an_async_view(async_client: AsyncClient, settings, form, func) -> None:
    """I6: the same on the ASGI side."""
    settings.ROOT_URLCONF = (path("", aview_with(Depends(form(func)))),)
    with testing.run_inline():
        assert (await async_client.get("/")).content == b"value"
    assert work.diary == (["view", "exit", "task"] if func in (yields, ayields) else ["view", "task"])


class Page:
    def __init__(self, number: int = 1) -> None:
        self.number = number


type Paged = Annotated[Page, Depends()]


def by_default(page: Page = Depends()) -> int:
    return page.number


def by_annotation(page: Annotated[Page, Depends()]) -> int:
    return page.number


def by_alias(page: Paged) -> int:
    return page.number


def by_nested(page: Annotated["Page", Depends()] | None) -> int:
    return page.number


@pytest.mark.parametrize("func", [by_default, by_annotation, by_alias, by_nested])
def test_I6_without_an_argument_the_annotation_names_the_class(client: Client, settings, func) -> None:
    """I6: `Depends()`, as upstream; it takes arguments of the URL, as `Depends(Page)` does."""
    settings.ROOT_URLCONF = (path("", view_with(Depends(func))), path("<int:number>", numbered_with(func)))
    assert client.get("/").content == b"1"
    assert client.get("/5").content == b"5"


def test_I6_without_a_class_it_says_so() -> None:
    """I6: neither an argument nor an annotation: the parameter is named."""

    def view(request: HttpRequest, page=Depends()) -> None: ...

    with pytest.raises(TypeError, match="'page'"):
        needs_of(view)


class Sender:
    async def __call__(self) -> None: ...


def letters() -> Iterator[str]:
    return (letter for letter in "ab")


def listing(func: Callable[..., Iterator[str]]) -> Callable[[], list[str]]:
    @functools.wraps(func)
    def wrapper() -> list[str]:
        return list(func())

    return wrapper


@listing
def listed() -> Iterator[str]:
    yield from "ab"


@contextmanager
def managed() -> Iterator[str]:
    yield "not entered by us"


@pytest.mark.parametrize(
    ("func", "kind"),
    [
        (letters, "generator"),
        (listed, "list"),
        (managed, "_GeneratorContextManager"),
        (Sender, "Sender"),
    ],
)
async def test_I6_what_a_plain_call_gives_is_the_value(
    client: Client, async_client: AsyncClient, settings, func, kind: str
) -> None:
    """I6: a generator that a function returns; what a decorator makes of one; an object that is itself async."""

    def given(value: Any = Depends(func)) -> str:
        return type(value).__name__

    settings.ROOT_URLCONF = (path("", view_with(Depends(given))), path("a", aview_with(Depends(given))))
    assert (await sync_to_async(client.get)("/")).content.decode() == kind
    assert (await async_client.get("/a")).content.decode() == kind


class OutOfStockError(Exception):
    pass


def outer(tasks: BackgroundTasks) -> Iterator[str]:
    note("enter outer")
    try:
        yield "outer"
    finally:
        note("exit outer")
        tasks.add_task(note, "task of the exit")


async def inner(around: Annotated[str, Depends(outer)]) -> Any:
    note("enter inner")
    try:
        yield f"{around} inner"
    finally:
        note("exit inner")


def test_I6_dependencies_end_in_reverse_order(client: Client, settings) -> None:
    """I6: what another one needs ends after it; what is added at the end is not too late."""
    settings.ROOT_URLCONF = (path("", view_with(Depends(inner))), path("a", aview_with(Depends(inner))))
    for address in ("/", "/a"):
        work.forget()
        with testing.run_inline():
            assert client.get(address).content == b"outer inner"
        ends = ["exit inner", "exit outer", "task of the exit"]
        assert work.diary == ["enter outer", "enter inner", "view", *ends]


def broken_entry(around: Annotated[str, Depends(outer)]) -> Iterator[None]:
    raise OutOfStockError
    yield


def test_I6_what_was_begun_is_ended_when_another_dependency_fails(client: Client, settings) -> None:
    """I6: the view is not called, the tasks are dropped."""
    client.raise_request_exception = False
    settings.ROOT_URLCONF = (path("", view_with(Depends(broken_entry))),)
    assert client.get("/").status_code == 500
    testing.wait()
    assert work.diary == ["enter outer", "exit outer"]


def translates() -> Iterator[None]:
    try:
        yield
    except OutOfStockError:
        raise PermissionDenied from None


def swallows() -> Iterator[None]:
    with suppress(OutOfStockError):
        yield


def breaks() -> Iterator[None]:
    yield
    raise OutOfStockError


def views_of(dependency: Callable[..., Any], error: type[Exception] | None) -> list[Callable[..., Any]]:
    """Function and class-based views, sync and async, which add a task and raise `error`, if any."""

    def view(request: HttpRequest, tasks: BackgroundTasks, value=Depends(dependency)) -> HttpResponse:
        tasks.add_task(note, "dropped")
        if error is not None:
            raise error
        return HttpResponse()

    async def aview(request: HttpRequest, tasks: BackgroundTasks, value=Depends(dependency)) -> HttpResponse:
        return view(request, tasks)

    class ClassBased(View):
        def get(self, request: HttpRequest, tasks: BackgroundTasks, value=Depends(dependency)) -> Any:
            return view(request, tasks)

    class AsyncClassBased(View):
        async def get(self, request: HttpRequest, tasks: BackgroundTasks, value=Depends(dependency)) -> Any:
            return view(request, tasks)

    return [view, aview, ClassBased.as_view(), AsyncClassBased.as_view()]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    ("dependency", "error", "status"),
    [(translates, OutOfStockError, 403), (swallows, OutOfStockError, 500), (breaks, None, 500)],
)
def test_I6_the_end_of_a_dependency_decides(
    client: Client, settings, dependency, error, status, number
) -> None:
    """I6: it may turn an error of the view into another, and cannot make an answer of it; its own is the view's."""
    client.raise_request_exception = False
    settings.ROOT_URLCONF = (path("", views_of(dependency, error)[number]),)
    assert client.get("/").status_code == status
    testing.wait()
    assert work.diary == []
