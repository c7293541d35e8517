"""Threads, errors and shutdown (rows E4 to E8, E10, R5)."""

import os
import threading

import psycopg
import pytest
from django.db import connection

from notifications.background import BackgroundTask, BackgroundTasks, pool, testing

from . import work
from .work import note


def hand_over(*tasks: BackgroundTask) -> None:
    BackgroundTasks(tasks).hand_to(pool.submit)


def test_R5_async_functions_run_on_a_loop_of_their_own(async_client) -> None:
    """R5: on neither the caller's thread nor the server's loop."""
    hand_over(BackgroundTask(work.note_loop_thread))
    testing.wait()
    assert work.diary != [threading.current_thread().name]


def test_E4_the_pool_has_threads_of_its_own_and_no_more_than_allowed(settings) -> None:
    """E4, E5: MAX_THREADS tasks run at once, the next ones wait."""
    settings.BACKGROUND_TASKS = {"MAX_THREADS": 3}
    running = threading.Semaphore(0)

    def wait_at_the_gate() -> None:
        work.diary.append(threading.current_thread().name)
        running.release()
        assert work.gate.wait(work.WAIT)

    for _ in range(5):
        hand_over(BackgroundTask(wait_at_the_gate))
    for _ in range(3):
        assert running.acquire(timeout=work.WAIT)
    assert len(work.diary) == 3
    own = [thread.name for thread in threading.enumerate() if thread.name.startswith("background-")]
    assert sorted(own) == sorted(map(str, work.diary))
    assert pool.current_pool().usage() == {"waiting": 2, "running": 3}
    work.let_go()
    testing.wait()
    assert pool.current_pool().usage() == {"waiting": 0, "running": 0}
    assert len(work.diary) == 5


def test_E4_one_thread_serves_many_tasks_one_after_the_other() -> None:
    """E4: a new thread is made only when none is idle."""
    for _ in range(10):
        hand_over(BackgroundTask(work.note_thread))
        testing.wait()
    assert len(set(work.diary)) == 1


@pytest.mark.slow
def test_R10_what_a_task_adds_runs_in_the_same_pass() -> None:
    """R10: after all that were there, even if those are slow and other threads are free."""
    tasks = BackgroundTasks()
    added = threading.Event()

    def second() -> None:
        work.diary.append(added.wait(0.05))

    tasks.add_task(lambda: tasks.add_task(added.set))
    tasks.add_task(second)
    tasks.hand_to(pool.submit)
    testing.wait()
    assert work.diary == [False]
    assert added.is_set()


@pytest.fixture
def full_pool(settings) -> None:
    """One thread that is held, and room for nobody to wait."""
    settings.BACKGROUND_TASKS = {"MAX_THREADS": 1, "MAX_WAITING": 1}
    hand_over(BackgroundTask(work.hold))
    assert work.entered.wait(work.WAIT)
    hand_over(BackgroundTask(note, "waits"))


def test_E5_past_the_bound_a_function_runs_in_its_caller(full_pool, caplog) -> None:
    """E5: it has run when the hand-over returns, and a WARNING says so."""
    hand_over(BackgroundTask(note, "overflow"), BackgroundTask(work.anote, "async overflow"))
    assert work.diary == ["overflow", "async overflow"]
    assert "run in their caller" in caplog.text
    work.let_go()
    testing.wait()
    assert work.diary[2:] == ["held", "waits"]


def test_E5_past_the_bound_a_function_is_refused_as_configured(full_pool, settings, caplog) -> None:
    """E5: OVERFLOW "refuse": an ERROR with its name, never silence."""
    settings.BACKGROUND_TASKS |= {"OVERFLOW": "refuse"}
    task = BackgroundTask(note, "overflow")
    hand_over(task)
    work.let_go()
    testing.wait()
    assert work.diary == ["held", "waits"]
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert task.id in record.getMessage()
    assert task.name in record.getMessage()


@pytest.mark.parametrize(("func", "argument"), [(note, "first"), (work.join, ["first"])])
def test_E5_what_is_added_while_it_waits_does_not_move_the_bound(settings, func, argument) -> None:
    """E5: what stops waiting is what was counted when it came, by itself or in a lane."""
    settings.BACKGROUND_TASKS = {"MAX_THREADS": 1}
    hand_over(BackgroundTask(work.hold))
    assert work.entered.wait(work.WAIT)
    tasks = BackgroundTasks()
    tasks.add_task(func, argument)
    tasks.hand_to(pool.submit)
    for number in range(5):
        tasks.add_task(note, number)
    assert pool.current_pool().usage() == {"waiting": 1, "running": 1}
    work.let_go()
    testing.wait()
    assert work.diary == ["held", argument, 0, 1, 2, 3, 4]
    assert pool.current_pool().usage() == {"waiting": 0, "running": 0}


def test_E5_a_full_pool_is_never_a_500(full_pool, client) -> None:
    """E5: the request is answered as ever, its tasks run."""
    assert client.get("/function").status_code == 200
    assert work.diary == ["function"]


def use_connection() -> None:
    """Note whether there was a connection before, and the one there is now."""
    work.diary.append(connection.connection is not None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    work.diary.append(connection.connection)


@pytest.mark.django_db(transaction=True)
def test_E7_an_idle_thread_closes_its_connections() -> None:
    """E7: the next task of a busy thread uses the same connection; when the thread ends it is closed."""
    hand_over(BackgroundTask(use_connection), BackgroundTask(use_connection))
    testing.wait()
    assert work.diary[0] is False
    assert work.diary[1] is work.diary[3]
    testing.stop_pool()
    assert is_closed(work.diary[3])


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no server that could go away")
def test_E7_a_stale_connection_is_not_used_again() -> None:
    """E7: the server ends the connection between two tasks; the second one opens its own."""

    def terminate() -> None:
        pid = work.diary[1].info.backend_pid
        with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    hand_over(BackgroundTask(use_connection), BackgroundTask(terminate), BackgroundTask(use_connection))
    testing.wait()
    assert len(work.diary) == 4
    assert work.diary[3] is not work.diary[1]


def is_closed(raw) -> bool:
    if hasattr(raw, "closed"):
        return bool(raw.closed)
    import sqlite3

    try:
        raw.execute("SELECT 1")
    except sqlite3.ProgrammingError as error:
        return "closed" in str(error)
    return False


@pytest.mark.django_db(transaction=True)
def test_E7_without_persistent_connections_each_task_closes_its_own() -> None:
    """E7: CONN_MAX_AGE = 0 holds here as it does for requests."""
    connection.settings_dict["CONN_MAX_AGE"], before = 0, connection.settings_dict["CONN_MAX_AGE"]
    try:
        for _ in range(2):
            hand_over(BackgroundTask(use_connection))
            testing.wait()
    finally:
        connection.settings_dict["CONN_MAX_AGE"] = before
    assert work.diary[0] is False
    assert work.diary[2] is False


def test_E8_drain_finishes_what_runs_and_what_waits(settings) -> None:
    """E8: within the deadline both end as if nothing had happened."""
    settings.BACKGROUND_TASKS = {"MAX_THREADS": 1}
    hand_over(BackgroundTask(work.hold))
    hand_over(BackgroundTask(note, "waits"))
    assert work.entered.wait(work.WAIT)
    stopping = threading.Thread(target=pool.shutdown)
    stopping.start()
    work.let_go()
    stopping.join(work.WAIT)
    assert work.diary == ["held", "waits"]


def test_E8_at_the_deadline_what_is_left_is_named(settings, caplog) -> None:
    """E8: the running one, the one behind it in its pass, and the waiting one."""
    settings.BACKGROUND_TASKS = {"MAX_THREADS": 1, "DRAIN_TIMEOUT": 0}
    left = [BackgroundTask(work.hold), BackgroundTask(note, "behind"), BackgroundTask(note, "waits")]
    hand_over(*left[:2])
    hand_over(left[2])
    assert work.entered.wait(work.WAIT)
    pool.shutdown()
    assert pool.current_pool().usage()["waiting"] == 0
    for task in left:
        [record] = [record for record in caplog.records if task.id in record.getMessage()]
        assert record.levelname == "ERROR"
        assert task.name in record.getMessage()
    work.let_go()
    hand_over(BackgroundTask(note, "too late"))
    assert "too late" not in work.diary
    assert caplog.text.count("process is stopping") == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_E10_a_child_makes_a_pool_of_its_own() -> None:
    """E10: what was made before the fork is dead in the child, so the child starts with none."""
    hand_over(BackgroundTask(note, "parent"))
    testing.wait()
    assert pool.existing_pool() is not None
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work.diary.clear()
            if pool.existing_pool() is None:
                hand_over(BackgroundTask(note, "child"))
                testing.wait()
                status = 0 if work.diary == ["child"] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_wait_says_when_tasks_do_not_end() -> None:
    """`testing.wait` raises instead of hanging."""
    hand_over(BackgroundTask(work.hold))
    with pytest.raises(TimeoutError):
        testing.wait(timeout=0.01)
    work.let_go()
    testing.wait()


@pytest.mark.slow
def test_a_task_that_reaches_no_thread_keeps_no_request_alive() -> None:
    """An idle thread holds no reference to what it ran."""
    import gc
    import weakref

    task = BackgroundTask(note, "x")
    reference = weakref.ref(task)
    hand_over(task)
    testing.wait()
    del task
    gc.collect()
    assert reference() is None
