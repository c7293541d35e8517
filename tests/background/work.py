"""Functions for tasks to run. They write into `diary`; a gate holds a task until the test lets it go."""

import asyncio
import threading
from contextvars import ContextVar

from django.tasks import task

from notifications.backends.mergeable import mergeable

diary: list[object] = []
gate = threading.Event()
entered = threading.Event()
holding: set[object] = set()  # the calls that are at the gate, of pools too that a test has let go of
left = threading.Condition()
tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
WAIT = 10  # seconds; only a broken test waits that long


def forget() -> None:
    diary.clear()
    gate.clear()
    entered.clear()


def let_go() -> None:
    gate.set()


def all_gone() -> bool:
    """Let go, and wait until nobody is at the gate: what is still there would write into the next test's diary."""
    let_go()
    with left:
        return left.wait_for(lambda: not holding, WAIT)


def note(word: object) -> None:
    diary.append(word)


async def anote(word: object) -> None:
    await asyncio.sleep(0)
    diary.append(word)


def hold(word: object = "held") -> None:
    call = object()
    holding.add(call)
    entered.set()
    try:
        assert gate.wait(WAIT)
        diary.append(word)
    finally:
        with left:
            holding.discard(call)
            left.notify_all()


def fail() -> None:
    raise ValueError("broken on purpose")


def leave() -> None:
    raise SystemExit(3)


def note_thread(_: object = None) -> None:
    diary.append(threading.current_thread().name)


async def note_loop_thread() -> None:
    diary.append(threading.current_thread().name)


def note_tenant() -> None:
    diary.append(tenant.get())


@task(backend="thread")
def write(word: str) -> str:
    diary.append(word)
    return word.upper()


@task(backend="thread")
async def awrite(word: str) -> str:
    diary.append(word)
    return word.upper()


@task(backend="thread")
def write_later(word: str) -> None:
    hold(word)


@task(backend="thread")
def exit_task() -> None:
    raise SystemExit(3)


@task(backend="thread")
def wrong_return() -> object:
    return object()


@task(backend="thread", takes_context=True)
def attempt(context, word: str) -> list[object]:
    return [context.attempt, context.task_result.status.value, word]


@task(backend="thread")
@mergeable
def join(words: list[str]) -> None:
    """One call appends one list, so the diary shows what was merged."""
    if "poison" in words:
        raise ValueError("poison")
    diary.append(words)


@task(backend="thread")
@mergeable
def join_at_the_gate(words: list[str]) -> None:
    if "held" in words:
        hold(words)
    else:
        diary.append(words)


@task
def on_default(word: str) -> None:
    diary.append(word)
