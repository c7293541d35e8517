"""Injection (rows I1 to I9): nothing but the annotation, in every kind of view."""

import asyncio
import inspect
from typing import Any

import pytest
from django.test import AsyncClient, Client
from django.urls import path
from rest_framework.routers import SimpleRouter

from notifications.background import BackgroundTasks, Depends, inject, testing
from notifications.background.injection import prepare

from . import work
from .urls import Api, ClassBased, Things, dependency

KINDS = [
    ("get", "/function", "function"),
    ("get", "/afunction", "afunction"),
    ("post", "/class", "class"),
    ("post", "/aclass", "aclass"),
    ("post", "/inherited", "class"),
    ("post", "/api_function", "api_view"),
    ("get", "/things/", "list"),
    ("post", "/things/7/poke/", "poke 7"),
]
ANNOTATIONS = [
    "keyword_only",
    "annotated",
    "optional",
    "quoted",
    "union",
    "aliased",
    "nested",
    "subclass",
    "unknown_names",
]


@pytest.mark.parametrize(("method", "url", "word"), KINDS)
def test_I2_every_kind_of_view_gets_its_tasks(client: Client, method: str, url: str, word: str) -> None:
    """I2: function views, class-based views, `@api_view` and `ViewSet` actions, on the WSGI side."""
    with testing.run_inline():
        assert getattr(client, method)(url).status_code == 200
        assert getattr(client, method)(url).status_code == 200  # wrapping happens once
    assert work.diary == [word, word]


@pytest.mark.parametrize(("method", "url", "word"), KINDS)
async def test_I2_every_kind_of_view_under_asgi(
    async_client: AsyncClient, method: str, url: str, word: str
) -> None:
    """I2: the same on the ASGI side."""
    with testing.run_inline():
        assert (await getattr(async_client, method)(url)).status_code == 200
    assert work.diary == [word]


def test_I2_tutorial_001(client: Client) -> None:
    """FastAPI's tutorial 001: the reply is exact, the work is done after it."""
    response = client.post("/api", {"email": "foo@example.com"}, content_type="application/json")
    assert response.json() == {"message": "Notification sent in the background"}
    testing.wait()
    assert work.diary == ["foo@example.com"]


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_I1_every_way_to_write_the_annotation(client: Client, name: str) -> None:
    """I1: Annotated, strings, subclasses, keyword-only, `= None`, Optional, aliases, nested, beside unknown types."""
    with testing.run_inline():
        assert client.get(f"/{name}").status_code == 200
    assert work.diary == [name]


@pytest.mark.parametrize("name", ["resolved", "aresolved"])
def test_I2_the_resolver_match_shows_what_the_url_gave(client: Client, name: str) -> None:
    """I2: what is injected into a function view is no argument of its URL, for who logs or reverses by that."""
    assert client.get(f"/{name}/5").json() == {"pk": 5}


@pytest.mark.parametrize("name", ["resolved", "aresolved"])
async def test_I2_the_resolver_match_under_asgi(async_client: AsyncClient, name: str) -> None:
    """I2: the same on the ASGI side."""
    assert (await async_client.get(f"/{name}/5")).json() == {"pk": 5}


def test_I1_never_by_name(client: Client) -> None:
    """I1: a parameter called background_tasks without the annotation gets nothing."""
    assert client.get("/by_name_only").status_code == 200


def test_I1_name_imported_for_the_type_checker_only() -> None:
    """I1: `if TYPE_CHECKING: from … import BackgroundTasks` still injects."""
    from notifications.background.dependencies import needs_of

    namespace: dict[str, object] = {}
    exec("def view(request, tasks: 'BackgroundTasks | None' = None): ...", namespace)
    assert [need.name for need in needs_of(namespace["view"])] == ["tasks"]


def test_I3_I4_one_object_and_order_of_resolution(client: Client) -> None:
    """I3, I4 (tutorial 002): view, dependency and sub-dependency share one object; the innermost adds first."""
    with testing.run_inline():
        client.get("/depends")
    assert work.diary == ["sub", "dependency", "view"]


async def test_I3_I4_async_view_with_sync_and_async_dependencies(async_client: AsyncClient) -> None:
    """I3, I4: the same for an async view."""
    with testing.run_inline():
        await async_client.get("/adepends")
    assert work.diary == ["sub", "dependency", "adependency", "view"]


def test_I3_async_dependency_of_a_sync_view(client: Client) -> None:
    """I3: a sync view may depend on a coroutine function."""
    with testing.run_inline():
        assert client.get("/sync_view_async_dependency").content == b"async"
    assert work.diary == ["sub", "adependency"]


def test_I5_a_cached_dependency_adds_its_task_once(client: Client) -> None:
    """I5: once a request, and again with `use_cache=False`; a new request starts afresh."""
    with testing.run_inline():
        client.get("/uncached")
        assert work.diary == ["sub", "sub"]
        client.get("/depends")
    assert work.diary[2:] == ["sub", "dependency", "view"]


def test_I6_a_class_as_dependency_takes_arguments_of_the_url(client: Client) -> None:
    """I6: `Depends(Class)`; the request by its type, `pk` from the URL by its name, or the default."""
    with testing.run_inline():
        client.get("/dependent/5")
    assert work.diary == ["class 5 1"]


def test_a_dependency_that_asks_for_what_nobody_gives_says_so(client: Client) -> None:
    """The parameter is named; the view is not called."""
    with pytest.raises(TypeError, match="'pk'"):
        client.get("/asks_too_much")


@pytest.mark.parametrize(
    ("method", "url", "order"),
    [
        ("post", "/dependent/5", ["enter", "view", "exit"]),
        ("get", "/function_yields", ["enter", "aenter", "view", "aexit", "exit"]),
        ("get", "/afunction_yields", ["enter", "aenter", "view", "aexit", "exit"]),
    ],
)
def test_I6_a_yield_dependency_ends_before_the_tasks_run(
    client: Client, method: str, url: str, order: list[str]
) -> None:
    """I6: so no connection is held while tasks run. Upstream's context-manager tests, deviating on purpose."""
    with testing.run_inline():
        getattr(client, method)(url)
    assert work.diary == [*order, "task of yielding"]


async def test_I6_a_yield_dependency_under_asgi(async_client: AsyncClient) -> None:
    """I6: the same order on the ASGI side, for a sync and an async generator in an async view."""
    with testing.run_inline():
        await async_client.get("/afunction_yields")
    assert work.diary == ["enter", "aenter", "view", "aexit", "exit", "task of yielding"]


def test_I6_a_yield_dependency_sees_the_views_exception(client: Client) -> None:
    """I6: it is thrown in at the `yield`, as upstream does."""
    client.raise_request_exception = False
    assert client.get("/function_yields?fail").status_code == 500
    testing.wait()
    assert work.diary == ["enter", "aenter", "view", "aexit", "saw the error", "exit"]


def test_I7_two_parameters_get_the_one_object(client: Client) -> None:
    """I7: upstream answers 500."""
    with testing.run_inline():
        assert client.get("/twice").status_code == 200
    assert work.diary == ["one", "two"]


def test_I8_the_responses_own_tasks_run_last(client: Client) -> None:
    """I8: upstream drops the injected ones."""
    with testing.run_inline():
        client.get("/own_response_tasks")
        client.get("/own_single_task")
    assert work.diary == ["injected", "own 1", "own 2", "single"]


def test_I8_the_injected_ones_as_the_responses_own_run_once(client: Client) -> None:
    """I8: `response.background = background_tasks`, as upstream."""
    with testing.run_inline():
        client.get("/injected_as_own")
    assert work.diary == ["once"]


@pytest.mark.slow
def test_I9_never_in_the_api_schema(client: Client) -> None:
    """I9: drf-spectacular sees no parameter of ours, before and after the handler has been wrapped."""
    generators = pytest.importorskip("drf_spectacular.generators")
    from drf_spectacular.openapi import AutoSchema

    class Documented(Api):
        schema = AutoSchema()

        def get(self, request, tasks: BackgroundTasks, given=Depends(dependency)): ...

    class DocumentedThings(Things):
        schema = AutoSchema()

    router = SimpleRouter()
    router.register("things", DocumentedThings, basename="thing")
    patterns = [path("documented", Documented.as_view()), *router.urls]

    def schema() -> dict[str, Any]:
        return generators.SchemaGenerator(patterns=patterns).get_schema(public=True)

    schema()  # the first one loads the project's extensions
    before = schema()
    prepare(patterns[0].callback)
    assert hasattr(Documented.get, "injected")
    assert schema() == before
    operations = [operation for item in before["paths"].values() for operation in item.values()]
    names = [parameter["name"] for operation in operations for parameter in operation.get("parameters", ())]
    assert len(operations) == 4
    assert names == ["id"]


def test_dependencies_do_not_run_for_a_refused_request(client: Client) -> None:
    """A dependency's side effects wait for authentication: `APIView`, and `@inject` below a decorator."""
    with testing.collect() as tasks:
        assert client.post("/guarded").status_code in (401, 403)
        assert client.get("/guarded_function").status_code == 403
    assert tasks == []
    assert work.diary == []


def test_an_argument_that_is_given_stays(rf) -> None:
    """A handler called by hand, in a unit test or by `super()`, uses what it is given."""
    mine = BackgroundTasks()
    ClassBased().post(rf.post("/"), mine, word="mine")
    ClassBased().post(rf.post("/"), background_tasks=mine)
    mine.run()
    assert work.diary == ["mine", "class"]


def test_outside_a_request_injection_says_what_is_missing() -> None:
    """Without the middleware the error names it."""

    @inject
    def view(request, tasks: BackgroundTasks) -> None: ...

    with pytest.raises(RuntimeError, match="BackgroundTasksMiddleware"):
        view(None)


def test_the_signature_names_what_a_caller_gives() -> None:
    """Libraries that read it, to take each parameter from a request and check it (django-ninja), find theirs only."""

    @inject
    def view(request, page: int = 1, tasks: BackgroundTasks = None, *, given=Depends(dependency)) -> None: ...

    assert list(inspect.signature(view).parameters) == ["request", "page"]


@pytest.mark.slow
async def test_two_requests_at_once_have_two_objects(async_client: AsyncClient) -> None:
    """I3: one object a request, also when requests overlap."""
    with testing.collect() as tasks:
        await asyncio.gather(*(async_client.get("/afunction") for _ in range(5)))
    assert len({task.id for task in tasks}) == 5
