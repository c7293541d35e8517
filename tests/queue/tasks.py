"""Tasks of the queue's own tests. Those that run in worker processes speak through a file, `QUEUE_TEST_FILE`."""

import gc
import os
import signal
import sys
import threading
import time
from typing import Any

import psutil
from django.db import OperationalError
from django.tasks import TaskContext, task

from notifications.backends.mergeable import mergeable


def note(line: str) -> None:
    with open(os.environ["QUEUE_TEST_FILE"], "a", buffering=1) as file:
        file.write(f"{line}\n")


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task
async def add_async(a: int, b: int = 0) -> int:
    return a + b


@task
def private_bytes() -> list[int]:
    """What this process has for itself, before and after a full collection."""
    process = psutil.Process()
    before = process.memory_full_info().uss
    gc.collect()
    return [before, process.memory_full_info().uss]


@task
def fail(message: str) -> None:
    raise ValueError(message)


@task
def need_database() -> None:
    raise OperationalError("server closed the connection unexpectedly")


@task
def leave(code: int) -> None:
    sys.exit(code)


@task(takes_context=True)
def who(context: TaskContext, word: str) -> list[Any]:
    return [context.task_result.id, context.attempt, word]


@task
@mergeable
def collect(words: list[str]) -> None:
    note(" ".join(words))


@task
@mergeable
def collect_or_fail(words: list[str]) -> None:
    raise ValueError(" ".join(words))


@task
@mergeable
def collect_or_die(words: list[str]) -> None:
    if "poison" in words:
        os.kill(os.getpid(), signal.SIGKILL)
    note(" ".join(words))


@task
def write(word: str) -> None:
    note(word)


@task
def write_slowly(word: str, seconds: float) -> None:
    note(f"begin {word} {os.getpid()}")
    threading.Event().wait(seconds)
    note(f"end {word}")


@task
def hog(word: str, seconds: float) -> None:
    note(f"begin {word} {os.getpid()}")
    time.sleep(seconds)
    note(f"end {word}")


@task
def die(word: str) -> None:
    note(word)
    os.kill(os.getpid(), signal.SIGKILL)


def note_result(row: Any) -> None:
    note(f"hook {row.result.splitlines()[0]}")


def die_as_hook(row: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def double(number: int) -> int:
    return 2 * number


def plain(word: str) -> str:
    """Not a Django task: what `async_task` runs."""
    note(word)
    return word


if os.environ.get("QUEUE_TEST_NEW_VERSION"):

    @task
    def of_the_next_version(word: str) -> None:
        note(word)
