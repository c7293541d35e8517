"""Views and tasks that write to the diary and wait for files: `<DIARY>.<name>` is the gate called name."""

import asyncio
import os
import time
from pathlib import Path

from django.http import HttpResponse, StreamingHttpResponse
from django.tasks import task
from django.tasks.backends.dummy import DummyBackend
from django.urls import path

from notifications.background import BackgroundTasks, pool

DIARY = os.environ["DIARY"]
GIVE_UP = 30  # seconds
BIG = 32 * 1024 * 1024  # more than any socket's buffers take


def write(line: str) -> None:
    descriptor = os.open(DIARY, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def is_open(name: str) -> bool:
    return Path(f"{DIARY}.{name}").exists()


def wait_for(name: str) -> None:
    deadline = time.monotonic() + GIVE_UP
    while not is_open(name) and time.monotonic() < deadline:
        time.sleep(0.005)


def hold(name: str) -> None:
    write(f"start {name}")
    wait_for(name)
    write(f"end {name}")


async def ahold(name: str) -> None:
    """A blocking call in a coroutine: on the server's event loop it would freeze every request (R5)."""
    hold(name)


def fail() -> None:
    raise ValueError("broken on purpose")


def leave() -> None:
    raise SystemExit(3)


@task(backend="thread")
def deliver(name: str) -> None:
    write(f"deliver {name}")


class DiaryBackend(DummyBackend):
    def enqueue(self, task, args, kwargs):
        write(f"queue {args[0]}")
        return super().enqueue(task, args, kwargs)


class SyncOnlyMiddleware:
    sync_capable = True
    async_capable = False

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)


def quick(request):
    return HttpResponse(str(os.getpid()))


def holds(request, tasks: BackgroundTasks):
    for name in request.GET.getlist("name"):
        tasks.add_task(hold, name)
    return HttpResponse("held")


async def aholds(request, tasks: BackgroundTasks):
    tasks.add_task(ahold, request.GET["name"])
    return HttpResponse("held")


def delivers(request, tasks: BackgroundTasks):
    tasks.add_task(deliver, request.GET["name"])
    return HttpResponse("accepted")


def fails(request, tasks: BackgroundTasks):
    tasks.add_task(fail)
    tasks.add_task(leave)
    tasks.add_task(write, f"after the errors of {request.GET['name']}")
    return HttpResponse("done")


def slow(request, tasks: BackgroundTasks):
    name = request.GET["name"]
    write(f"view {name}")
    wait_for(name)
    tasks.add_task(write, f"task {name}")
    return HttpResponse("slow")


async def aslow(request, tasks: BackgroundTasks):
    name = request.GET["name"]
    write(f"view {name}")
    deadline = time.monotonic() + GIVE_UP
    while not is_open(name) and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    tasks.add_task(write, f"task {name}")
    return HttpResponse("slow")


def big(request, tasks: BackgroundTasks):
    tasks.add_task(write, f"task {request.GET['name']}")
    return HttpResponse(b"x" * BIG)


def streams(request, tasks: BackgroundTasks):
    name = request.GET["name"]
    tasks.add_task(write, f"task {name}")

    def chunks():
        for number in range(3):
            write(f"chunk {number} {name}")
            yield b"x"

    async def achunks():
        for chunk in chunks():
            yield chunk

    return StreamingHttpResponse(achunks() if hasattr(request, "scope") else chunks())


# What a master with --preload would leave behind: a pool made before the fork.
if os.environ.get("PRELOAD"):
    BackgroundTasks_before_fork = BackgroundTasks()
    BackgroundTasks_before_fork.add_task(write, f"preloaded in {os.getpid()}")
    BackgroundTasks_before_fork.hand_to(pool.submit)

urlpatterns = [
    path(view.__name__, view) for view in (quick, holds, aholds, delivers, fails, slow, aslow, big, streams)
]
