"""Views of every kind that ask for background tasks, each at its own address."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Optional

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views import View
from django.views.decorators.http import condition
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from notifications.background import BackgroundTask, BackgroundTasks, Depends, inject

from . import work
from .work import anote, fail, note

if TYPE_CHECKING:  # names a resolver must not stumble over
    from decimal import Decimal

    from notifications.background import BackgroundTasks as OnlyForTheChecker  # noqa: F401


class MyTasks(BackgroundTasks):
    pass


# --- every kind of view -----------------------------------------------------------------------------------


def function(request: HttpRequest, background_tasks: BackgroundTasks) -> HttpResponse:
    background_tasks.add_task(note, "function")
    return HttpResponse("done")


async def afunction(request, background_tasks: BackgroundTasks):
    background_tasks.add_task(anote, "afunction")
    return HttpResponse("done")


class ClassBased(View):
    def post(self, request, background_tasks: BackgroundTasks, word: str = "class") -> HttpResponse:
        background_tasks.add_task(note, word)
        return HttpResponse("done")


class AsyncClassBased(View):
    async def post(self, request, background_tasks: BackgroundTasks):
        background_tasks.add_task(anote, "aclass")
        return HttpResponse("done")


class Inherited(ClassBased):
    def post(self, request, *args, **kwargs):
        return super().post(request, *args, **kwargs)


class Api(APIView):
    permission_classes = [AllowAny]

    def post(self, request, background_tasks: BackgroundTasks):
        background_tasks.add_task(note, request.data["email"])
        return Response({"message": "Notification sent in the background"})


@api_view(["POST"])
@permission_classes([AllowAny])
def api_function(request, background_tasks: BackgroundTasks):
    background_tasks.add_task(note, "api_view")
    return Response({})


class Things(ViewSet):
    permission_classes = [AllowAny]

    def list(self, request, background_tasks: BackgroundTasks):
        background_tasks.add_task(note, "list")
        return Response([])

    @action(detail=True, methods=["post"])
    def poke(self, request, background_tasks: BackgroundTasks, pk=None):
        background_tasks.add_task(note, f"poke {pk}")
        return Response({})


# --- annotations ------------------------------------------------------------------------------------------


def keyword_only(request, *, tasks: BackgroundTasks) -> HttpResponse:
    tasks.add_task(note, "keyword_only")
    return HttpResponse()


def annotated(request, tasks: Annotated[BackgroundTasks, "a remark"]) -> HttpResponse:
    tasks.add_task(note, "annotated")
    return HttpResponse()


def optional(request, tasks: Optional[BackgroundTasks] = None) -> HttpResponse:  # noqa: UP045
    tasks.add_task(note, "optional")
    return HttpResponse()


def quoted(request, tasks: Optional["BackgroundTasks"] = None) -> HttpResponse:  # noqa: UP045, UP037
    tasks.add_task(note, "quoted")
    return HttpResponse()


def union(request, tasks: BackgroundTasks | None = None) -> HttpResponse:
    tasks.add_task(note, "union")
    return HttpResponse()


type Ours = BackgroundTasks
type Unknown = Decimal


def aliased(request, tasks: Ours, price: Unknown | None = None) -> HttpResponse:
    tasks.add_task(note, "aliased")
    return HttpResponse()


def nested(request, tasks: Optional[Annotated[BackgroundTasks, "a remark"]]) -> HttpResponse:  # noqa: UP045
    tasks.add_task(note, "nested")
    return HttpResponse()


def subclass(request, tasks: MyTasks) -> HttpResponse:
    assert isinstance(tasks, MyTasks)
    tasks.add_task(note, "subclass")
    return HttpResponse()


def by_name_only(request, background_tasks=None) -> HttpResponse:
    assert background_tasks is None
    return HttpResponse()


def resolved(request, pk: int, tasks: BackgroundTasks) -> HttpResponse:
    return JsonResponse(request.resolver_match.kwargs)


async def aresolved(request, pk: int, tasks: BackgroundTasks) -> HttpResponse:
    return resolved(request, pk, tasks)


def unknown_names(request, tasks: BackgroundTasks, price: Decimal | None = None) -> HttpResponse:
    tasks.add_task(note, "unknown_names")
    return HttpResponse()


def twice(request, one: BackgroundTasks, two: BackgroundTasks) -> HttpResponse:
    assert one is two
    one.add_task(note, "one")
    two.add_task(note, "two")
    return HttpResponse()


# --- dependencies -----------------------------------------------------------------------------------------


def sub(request, tasks: BackgroundTasks) -> BackgroundTasks:
    tasks.add_task(note, "sub")
    return tasks


def dependency(tasks: BackgroundTasks, below=Depends(sub)) -> BackgroundTasks:
    assert tasks is below
    tasks.add_task(note, "dependency")
    return tasks


async def adependency(tasks: BackgroundTasks, below: Annotated[BackgroundTasks, Depends(sub)]) -> str:
    assert tasks is below
    tasks.add_task(note, "adependency")
    return "async"


class Mailer:
    def __init__(self, http: HttpRequest, tasks: BackgroundTasks, pk: int, page: int = 1) -> None:
        assert http.path.endswith("/5")
        self.tasks, self.pk, self.page = tasks, pk, page


def yielding(tasks: BackgroundTasks):
    tasks.add_task(note, "task of yielding")
    work.diary.append("enter")
    try:
        yield "connection"
    except ValueError:
        work.diary.append("saw the error")
        raise
    finally:
        work.diary.append("exit")


async def ayielding(tasks: BackgroundTasks):
    work.diary.append("aenter")
    try:
        yield "connection"
    finally:
        work.diary.append("aexit")


def depends(request, tasks: BackgroundTasks, given=Depends(dependency), again=Depends(sub)) -> HttpResponse:
    assert given is again is tasks
    tasks.add_task(note, "view")
    return HttpResponse()


async def adepends(request, tasks: BackgroundTasks, given=Depends(dependency), a=Depends(adependency)):
    assert a == "async"
    tasks.add_task(note, "view")
    return HttpResponse()


def sync_view_async_dependency(request, a=Depends(adependency)) -> HttpResponse:
    return HttpResponse(a)


def asks_too_much(request, mailer=Depends(Mailer)) -> HttpResponse:
    raise AssertionError("not reached")


def uncached(request, one=Depends(sub), two=Depends(sub, use_cache=False)) -> HttpResponse:
    return HttpResponse()


class Dependent(View):
    def get(self, request, pk: int, mailer: Mailer = Depends(Mailer)) -> HttpResponse:
        mailer.tasks.add_task(note, f"class {mailer.pk} {mailer.page}")
        return HttpResponse()

    def post(self, request, pk: int, connection: Annotated[str, Depends(yielding)]) -> HttpResponse:
        assert connection == "connection"
        work.diary.append("view")
        return HttpResponse()


def function_yields(request, connection=Depends(yielding), other=Depends(ayielding)) -> HttpResponse:
    work.diary.append("view")
    if "fail" in request.GET:
        raise ValueError("after the yield")
    return HttpResponse()


async def afunction_yields(request, connection=Depends(yielding), other=Depends(ayielding)):
    work.diary.append("view")
    return HttpResponse()


class Guarded(APIView):
    permission_classes = [IsAuthenticated]

    def post(self, request, given=Depends(dependency)):
        return Response({})


def forbid(view):
    def refuse(request, *args, **kwargs):
        return HttpResponse(status=403)

    refuse.__wrapped__ = view
    return refuse


@forbid
@inject
def guarded_function(request, given=Depends(dependency)) -> HttpResponse:
    raise AssertionError("not reached")


# --- responses --------------------------------------------------------------------------------------------


def status(request, code: int, tasks: BackgroundTasks) -> HttpResponse:
    tasks.add_task(note, code)
    return HttpResponseRedirect("/elsewhere") if code == 302 else HttpResponse(status=code)


def raises(request, tasks: BackgroundTasks, name: str = "error") -> HttpResponse:
    tasks.add_task(note, "dropped")
    raise ValueError("the view raised")


def returns_nothing(request, tasks: BackgroundTasks) -> None:
    tasks.add_task(note, "dropped")


class ApiRaises(APIView):
    permission_classes = [AllowAny]

    def post(self, request, tasks: BackgroundTasks):
        tasks.add_task(note, "dropped")
        raise ValidationError("no")


def streams(request, tasks: BackgroundTasks) -> StreamingHttpResponse:
    tasks.add_task(note, "task")

    def chunks():
        for number in range(3):
            work.diary.append(f"chunk {number}")
            yield b"x"

    return StreamingHttpResponse(chunks())


async def astreams(request, tasks: BackgroundTasks):
    tasks.add_task(note, "task")

    async def chunks():
        yield b"x"
        work.entered.set()
        await asyncio.sleep(work.WAIT)
        yield b"never sent"

    return StreamingHttpResponse(chunks())


@condition(etag_func=lambda request: '"same"')
def unchanged(request):
    return HttpResponse("x")


def own_response_tasks(request, tasks: BackgroundTasks) -> HttpResponse:
    response = HttpResponse()
    own = BackgroundTasks()
    own.add_task(note, "own 1")
    own.add_task(note, "own 2")
    response.background = own
    tasks.add_task(note, "injected")
    return response


def injected_as_own(request, tasks: BackgroundTasks) -> HttpResponse:
    response = HttpResponse()
    response.background = tasks
    tasks.add_task(note, "once")
    return response


def own_single_task(request) -> HttpResponse:
    response = HttpResponse()
    response.background = BackgroundTask(anote, "single")
    return response


def tasks_add_tasks(request, tasks: BackgroundTasks) -> HttpResponse:
    def first() -> None:
        note("first")
        tasks.add_task(note, "third")
        work.write.enqueue("fourth")

    tasks.add_task(first)
    tasks.add_task(note, "second")
    return HttpResponse()


def mixed(request, tasks: BackgroundTasks) -> HttpResponse:
    tasks.add_task(note, 1)
    tasks.add_task(work.write, "2")
    work.write.enqueue("3")
    tasks.add_task(anote, 4)
    return HttpResponse()


def holds(request, tasks: BackgroundTasks) -> HttpResponse:
    tasks.add_task(work.hold)
    return HttpResponse()


def quick(request) -> HttpResponse:
    return HttpResponse("quick")


def failing_tasks(request, tasks: BackgroundTasks) -> HttpResponse:
    tasks.add_task(note, "before")
    tasks.add_task(fail)
    tasks.add_task(work.leave)
    tasks.add_task(note, "after")
    return HttpResponse()


def sets_tenant(request, tasks: BackgroundTasks) -> HttpResponse:
    work.tenant.set("acme")
    tasks.add_task(work.note_tenant)
    return HttpResponse()


def adds_wrongly(request, tasks: BackgroundTasks) -> HttpResponse:
    tasks.add_task(note, "one", "too many")
    return HttpResponse()


# --- transactions -----------------------------------------------------------------------------------------


def in_blocks(request, tasks: BackgroundTasks) -> HttpResponse:
    tasks.add_task(note, "before")
    with transaction.atomic():
        tasks.add_task(note, "committed")
        work.write.enqueue("committed thread")
    try:
        with transaction.atomic():
            tasks.add_task(note, "rolled back")
            work.write.enqueue("rolled back thread")
            raise ValueError
    except ValueError:
        pass
    tasks.add_task(note, "after")
    return HttpResponse()


def rolls_back(request, tasks: BackgroundTasks) -> HttpResponse:
    with transaction.atomic():
        transaction.set_rollback(True)
        tasks.add_task(note, "rolled back")
    return HttpResponse()


def rolls_back_request(request, tasks: BackgroundTasks) -> HttpResponse:
    """Only with ATOMIC_REQUESTS."""
    transaction.set_rollback(True)
    tasks.add_task(note, "rolled back")
    work.write.enqueue("rolled back thread")
    return HttpResponse()


async def slow_async(request, tasks: BackgroundTasks):
    work.entered.set()
    while not work.gate.is_set():
        await asyncio.sleep(0.005)
    tasks.add_task(note, "after the client left")
    return HttpResponse()


def slow_sync(request, tasks: BackgroundTasks) -> HttpResponse:
    work.entered.set()
    assert work.gate.wait(work.WAIT)
    tasks.add_task(note, "after the client left")
    return HttpResponse()


async def slow_plain(request):
    """Asks for no tasks: Django cancels it when the client leaves."""
    work.entered.set()
    try:
        await asyncio.sleep(work.WAIT)
    except asyncio.CancelledError:
        work.diary.append("cancelled")
        raise
    return HttpResponse()


router = SimpleRouter()
router.register("things", Things, basename="thing")

urlpatterns = [
    path("class", ClassBased.as_view()),
    path("aclass", AsyncClassBased.as_view()),
    path("inherited", Inherited.as_view()),
    path("api", Api.as_view()),
    path("api_function", api_function),
    path("dependent/<int:pk>", Dependent.as_view()),
    path("guarded", Guarded.as_view()),
    path("api_raises", ApiRaises.as_view()),
    path("status/<int:code>", status),
    path("resolved/<int:pk>", resolved),
    path("aresolved/<int:pk>", aresolved),
    *router.urls,
    *(
        path(view.__name__, view)
        for view in (
            function,
            afunction,
            keyword_only,
            annotated,
            optional,
            quoted,
            union,
            aliased,
            nested,
            subclass,
            by_name_only,
            unknown_names,
            twice,
            depends,
            adepends,
            sync_view_async_dependency,
            asks_too_much,
            uncached,
            function_yields,
            afunction_yields,
            raises,
            returns_nothing,
            streams,
            astreams,
            unchanged,
            own_response_tasks,
            own_single_task,
            injected_as_own,
            tasks_add_tasks,
            mixed,
            holds,
            quick,
            failing_tasks,
            sets_tenant,
            adds_wrongly,
            in_blocks,
            rolls_back,
            rolls_back_request,
            slow_async,
            slow_sync,
            slow_plain,
        )
    ),
    path("guarded_function", guarded_function),
]
