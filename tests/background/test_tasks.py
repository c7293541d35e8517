"""The task object (rows T1 to T7): Starlette's own cases, and what is better here."""

import functools
import inspect
import operator
import uuid
from collections.abc import Coroutine
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.tasks import TaskResultStatus

from notifications.background import BackgroundTask, BackgroundTasks, testing

from . import work
from .work import anote, fail, note


class Caller:
    def method(self, word: str) -> None:
        note(word)

    async def amethod(self, word: str) -> None:
        note(word)


class AsyncCallable:
    async def __call__(self, word: str) -> None:
        note(word)


class SyncCallable:
    def __call__(self, word: str) -> None:
        note(word)


class Marked:
    """Django's own middleware classes mark their instances so."""

    def __init__(self) -> None:
        inspect.markcoroutinefunction(self)

    def __call__(self, word: str) -> Coroutine[Any, Any, None]:
        return anote(word)


FUNCTIONS = [
    (note, False),
    (anote, True),
    (functools.partial(note), False),
    (functools.partial(functools.partial(anote)), True),
    (Caller().method, False),
    (Caller().amethod, True),
    (AsyncCallable(), True),
    (functools.partial(AsyncCallable()), True),
    (SyncCallable(), False),
    (functools.partial(SyncCallable()), False),
    (Marked(), True),
    (mock.Mock(side_effect=note), False),
    (mock.AsyncMock(side_effect=note), True),
    (functools.partial(mock.AsyncMock(side_effect=note)), True),
]


@pytest.mark.parametrize(("func", "is_async"), FUNCTIONS)
def test_T1_sync_and_async_are_told_apart_at_construction(func: Any, is_async: bool) -> None:
    """T1: partials, bound methods and callable objects included; all of them run."""
    task = BackgroundTask(func, "word")
    assert task.is_async is is_async
    assert work.diary == []
    task.run()
    assert work.diary == ["word"]


def test_T1_keyword_arguments_reach_the_function() -> None:
    """T1: `BackgroundTask(func, *args, **kwargs)`."""
    BackgroundTask(note, word="by keyword").run()
    assert work.diary == ["by keyword"]


async def test_T1_a_task_can_be_awaited() -> None:
    """T1: Starlette's `await task()`, for sync and async functions."""
    await BackgroundTask(note, 1)()
    await BackgroundTasks([BackgroundTask(anote, 2)])()
    assert work.diary == [1, 2]


def test_T2_the_sequence_is_copied_and_empty_is_a_no_op() -> None:
    """T2: `BackgroundTasks(tasks=seq)`; it is itself a `BackgroundTask` and may lie in another one."""
    given = [BackgroundTask(note, 1)]
    tasks = BackgroundTasks(tasks=given)
    given.clear()
    assert isinstance(tasks, BackgroundTask)
    BackgroundTasks().run()
    BackgroundTasks([tasks, BackgroundTask(note, 2)]).run()
    assert work.diary == [1, 2]


def test_T3_add_task_returns_a_handle() -> None:
    """T3: id and name of a function; upstream gives None."""
    handle = BackgroundTasks().add_task(functools.partial(note), "x")
    assert uuid.UUID(handle.id).version == 7
    assert handle.name == "tests.background.work.note"


@pytest.mark.parametrize(
    ("func", "args", "name"),
    [
        (str.upper, ("a",), "builtins.str.upper"),
        (dict.update, ({}, {}), "builtins.dict.update"),
        ([].append, (1,), "list.append"),
        ("a".__len__, (), "builtins.str.__len__"),
        (max, (1, 2), "builtins.max"),
        (operator.itemgetter(0), ("a",), "operator.itemgetter"),
        (Caller().method, ("a",), "tests.background.test_tasks.Caller.method"),
        (functools.partial(AsyncCallable()), ("a",), "tests.background.test_tasks.AsyncCallable"),
        (Caller, (), "tests.background.test_tasks.Caller"),
        (mock.Mock(), (), "unittest.mock.Mock"),
    ],
)
def test_T3_whatever_can_be_called_has_a_name(func: Any, args: Any, name: str) -> None:
    """T3: methods of built-in classes, too, which have no module."""
    assert BackgroundTasks().add_task(func, *args).name == name


def test_T3_a_django_task_gives_its_result() -> None:
    """T3, T7: a Django task is enqueued on its own backend, and its `TaskResult` comes back."""
    tasks = BackgroundTasks()
    result = tasks.add_task(work.on_default, "x")
    assert result.backend == "default"
    assert result.status == TaskResultStatus.READY
    assert work.on_default.get_backend().results[-1].args == ["x"]
    assert tasks.tasks == []
    assert tasks.add_task(work.write, "y").backend == "thread"
    tasks.run()
    assert work.diary == ["y"]


async def test_T7_async_code_enqueues_in_a_thread() -> None:
    """T7: a backend may use the database, which async code may not; `aadd_task` is for it."""
    tasks = BackgroundTasks()
    assert (await tasks.aadd_task(work.write, "x")).status == TaskResultStatus.READY
    assert (await tasks.aadd_task(note, "y")).name == "tests.background.work.note"
    await tasks()
    assert work.diary == ["x", "y"]


def generate(word: str) -> Any:
    yield word


async def agenerate(word: str) -> Any:
    yield word


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (None, ()),  # add_task(note("x")), called eagerly
        ("note", ()),
        (note, ()),
        (note, (1, 2)),
        (functools.partial(note, 1), (2,)),
        (Caller().method, ()),
        (work.write, ()),
        (work.attempt, ("one", "too many")),
        (generate, (1,)),
        (agenerate, (1,)),
        (functools.partial(generate), (1,)),
    ],
)
def test_T4_T5_what_cannot_succeed_is_refused_by_add_task(func: Any, args: Any) -> None:
    """T4, T5: `TypeError` where the mistake is made; upstream fails after the reply, or does nothing."""
    with pytest.raises(TypeError):
        BackgroundTasks().add_task(func, *args)


def with_prefix(func: Any) -> Any:
    @functools.wraps(func)
    def wrapper(word: str) -> None:
        func("prefix", word)

    return wrapper


@with_prefix
def note_two(first: str, second: str) -> None:
    note(first + second)


@pytest.mark.parametrize("func", [note_two, functools.partial(note_two)])
def test_T4_a_decorator_may_take_other_arguments(func: Any) -> None:
    """T4: what counts is what the decorator takes, not the function that it wraps."""
    BackgroundTask(func, "word").run()
    assert work.diary == ["prefixword"]
    with pytest.raises(TypeError, match="too many"):
        BackgroundTask(func, "word", "another")


def test_T4_the_error_says_how_to_pass_arguments() -> None:
    """T4: the common slip is calling the function."""
    with pytest.raises(TypeError, match=r"add_task\(func, argument\)"):
        BackgroundTasks().add_task(note("eager"))


def test_T4_a_builtin_without_a_signature_is_taken() -> None:
    """T4: what cannot be checked is not refused."""
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(max)
    assert BackgroundTask(max, 1, 2).run() == 2


def test_T5_a_lambda_that_returns_a_coroutine_runs() -> None:
    """T5: upstream drops the coroutine."""
    BackgroundTask(lambda: anote("from a lambda")).run()
    assert work.diary == ["from a lambda"]


def test_T5_a_lambda_that_returns_a_generator_is_an_error(caplog) -> None:
    """T5: nothing of it has run, so that is an ERROR record, not success."""
    BackgroundTasks([BackgroundTask(lambda: generate("x"))]).run()
    assert "returned a generator" in caplog.text


def test_T6_arguments_of_functions_are_kept_by_reference() -> None:
    """T6: a later change is seen."""
    words = ["a"]
    task = BackgroundTask(note, words)
    words.append("b")
    task.run()
    assert work.diary == [["a", "b"]]


def test_T6_arguments_of_django_tasks_must_be_json() -> None:
    """T6: refused at `add_task`, and taken as they are then."""
    tasks = BackgroundTasks()
    with pytest.raises(TypeError):
        tasks.add_task(work.write, uuid.uuid4())
    assert tasks.tasks == []


def test_E1_a_failure_does_not_stop_the_next(caplog) -> None:
    """E1, E2, E3: each error is one ERROR record with traceback, name and id; `sys.exit()` is one of them."""
    tasks = BackgroundTasks()
    tasks.add_task(note, "before")
    failing = tasks.add_task(fail)
    leaving = tasks.add_task(work.leave)
    tasks.add_task(note, "after")
    tasks.run()
    assert work.diary == ["before", "after"]
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.exc_info[0] for record in errors] == [ValueError, SystemExit]
    for task, record in zip((failing, leaving), errors, strict=True):
        assert task.id in record.getMessage()
        assert task.name in record.getMessage()


def test_E7_a_test_without_a_database_runs_inline(django_db_setup: None, django_db_blocker: Any) -> None:
    """E7: what runs in its caller's thread does not look at the connections that another test has left open."""
    with django_db_blocker.unblock():
        connection.ensure_connection()
    tasks = BackgroundTasks()
    tasks.add_task(note, "a")
    tasks.run()
    assert work.diary == ["a"]


def test_R10_tasks_may_add_tasks_while_they_run() -> None:
    """R10: in the same pass, after all that were there."""
    tasks = BackgroundTasks()

    def first() -> None:
        note(1)
        tasks.add_task(note, 3)

    tasks.add_task(first)
    tasks.add_task(note, 2)
    tasks.run()
    assert work.diary == [1, 2, 3]


def test_tasks_added_after_the_pass_go_to_the_pool() -> None:
    """Nothing that was added is lost: a callback that comes late starts a new pass."""
    from notifications.background import pool

    tasks = BackgroundTasks()
    tasks.hand_to(pool.submit)
    tasks.add_task(note, "first")
    testing.wait()
    tasks.add_task(note, "late")
    testing.wait()
    assert work.diary == ["first", "late"]
