"""`manage.py qcluster` as real processes: what runs, and what survives the death of any of them."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection
from django.tasks import TaskResult, TaskResultStatus, task_backends
from django.utils import timezone
from django_q.models import Failure, OrmQ, Success, Task
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from tests.processes import manage

from . import tasks
from .conftest import RunningCluster, database_environment, wait_for

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

Start = Callable[..., RunningCluster]
Lines = Callable[[], list[str]]


def finished(*results: TaskResult) -> bool:
    for result in results:
        if not result.is_finished:
            result.refresh()
    return all(result.is_finished for result in results)


def enqueue_words(task: Any, words: list[Any]) -> list[TaskResult]:
    return task_backends["default"].enqueue_many([(task, [word], {}) for word in words])  # type: ignore[attr-defined, no-any-return]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(map(lives, processes))


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two
        return False


def test_every_kind_of_task_runs(start_cluster: Start, lines: Lines) -> None:
    """Law: sync, async and plain functions run in another process; each result says what it
    came to, `sys.exit()` and errors included, and a finished task has left the queue."""
    cluster = start_cluster().wait_until_up()
    added, added_async = tasks.add.enqueue(1, b=2), tasks.add_async.enqueue(3, b=4)
    asked, failed, left = tasks.who.enqueue("me"), tasks.fail.enqueue("boom"), tasks.leave.enqueue(3)
    plain_id = async_task("tests.queue.tasks.plain", "plain word", group="g")
    wait_for(lambda: finished(added, added_async, asked, failed, left))
    assert (added.return_value, added_async.return_value) == (3, 7)
    assert asked.return_value == [asked.id, 1, "me"]
    assert (failed.status, left.status) == (TaskResultStatus.FAILED, TaskResultStatus.FAILED)
    assert failed.errors[0].exception_class is ValueError
    assert "boom" in failed.errors[0].traceback
    assert left.errors[0].exception_class is SystemExit
    assert None not in (added.enqueued_at, added.started_at, added.finished_at)
    row = wait_for(lambda: Success.objects.filter(pk=plain_id).first())
    assert (row.result, row.group, row.cluster) == ("plain word", "g", "default")
    assert lines() == ["plain word"]
    assert not OrmQ.objects.exists()
    assert cluster.stop() == 0


def test_a_collection_leaves_the_shared_pages_alone(start_cluster: Start, lines: Lines) -> None:
    """Law: a worker's garbage collector does not copy what all processes of the cluster have in common."""
    cluster = start_cluster().wait_until_up()
    measured = tasks.private_bytes.enqueue()
    wait_for(lambda: finished(measured))
    before, after = measured.return_value
    assert after - before < 4 * 2**20
    assert cluster.stop() == 0


def test_a_backlog_is_merged_shared_and_recorded(start_cluster: Start, lines: Lines) -> None:
    """Law: waiting calls of a mergeable task become few, both workers get some, each has its own row, and each
    argument arrives exactly once."""
    enqueue_words(tasks.collect, [[f"w{i}"] for i in range(1000)])
    cluster = start_cluster()
    wait_for(lambda: Success.objects.count() == 1000)
    assert Counter(" ".join(lines()).split()) == Counter(f"w{i}" for i in range(1000))
    assert len(lines()) < 100
    assert not OrmQ.objects.exists()
    assert cluster.stop() == 0


def test_a_scheduled_task_waits_and_runs(start_cluster: Start, lines: Lines) -> None:
    """Law: not before its time, and then at once."""
    cluster = start_cluster().wait_until_up()
    at = timezone.now() + timedelta(seconds=1)
    result = tasks.write.using(run_after=at).enqueue("later")
    assert wait_for(lambda: finished(result))
    assert result.started_at is not None
    assert at <= result.started_at
    assert cluster.stop() == 0


@pytest.mark.parametrize("role", ["worker", "pusher", "sentinel"])
def test_sudden_death_of_a_child(start_cluster: Start, lines: Lines, role: str) -> None:
    """Law: whoever is killed while idle is replaced, and the cluster works on with all its workers."""
    cluster = start_cluster().wait_until_up()
    before = tasks.write.enqueue("before")
    wait_for(lambda: finished(before))
    [victim, *_] = cluster.processes(role)
    victim.kill()
    wait_for(lambda: gone([victim]))
    cluster.wait_until_up()
    results = [tasks.write_slowly.enqueue(word, 0.3) for word in ("a", "b")]
    wait_for(lambda: finished(*results))
    workers = {line.split()[2] for line in lines() if line.startswith("begin")}
    assert len(workers) == 2
    assert cluster.stop() == 0


def test_an_error_of_the_main_process_leaves_nobody_behind(tmp_path: Path) -> None:
    """Law: it ends, with a traceback. Python would wait for a sentinel that nobody has stopped, for ever."""
    code = "from notifications.backends.queue import cluster as c; it = c.Cluster(); it.watch.look = None; it.run()"
    done = manage("shell", "--no-imports", "-c", code, env=database_environment(tmp_path))
    assert done.returncode == 1
    assert "TypeError: 'NoneType' object is not callable" in done.stderr


def test_death_of_a_busy_worker(start_cluster: Start, lines: Lines) -> None:
    """Law: what a killed worker was running runs again; what the other was running does not."""
    cluster = start_cluster().wait_until_up()
    results = [tasks.write_slowly.enqueue(word, 2) for word in ("a", "b")]
    begun = wait_for(lambda: len(lines()) == 2 and lines())
    word, pid = begun[0].split()[1:]
    os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: finished(*results))
    counted = Counter(line.split()[1] for line in lines() if line.startswith("begin"))
    assert counted == {"a": 1, "b": 1, word: 2}
    assert [result.status for result in results] == [TaskResultStatus.SUCCESSFUL] * 2
    assert sorted(result.attempts for result in results) == [1, 2]
    assert cluster.stop() == 0


def test_death_of_the_pusher_under_load(start_cluster: Start, lines: Lines) -> None:
    """Law: workers finish and acknowledge without the pusher; nothing that ran runs again."""
    cluster = start_cluster().wait_until_up()
    results = [tasks.write_slowly.enqueue(word, 1) for word in ("a", "b")]
    wait_for(lambda: len(lines()) == 2)
    cluster.processes("pusher")[0].kill()
    wait_for(lambda: finished(*results))
    after = tasks.write.enqueue("after")
    wait_for(lambda: finished(after))
    assert Counter(line.split()[0] for line in lines()) == {"begin": 2, "end": 2, "after": 1}
    assert cluster.stop() == 0


def test_death_of_the_main_process_takes_all_along(start_cluster: Start, lines: Lines) -> None:
    """Law: nobody works on for a cluster that is gone; what it was running is still in the queue."""
    cluster = start_cluster().wait_until_up()
    tasks.write_slowly.enqueue("a", 60)
    wait_for(lambda: lines())
    everybody = cluster.everybody()
    assert len(everybody) == 5
    cluster.process.kill()
    wait_for(lambda: gone(everybody), limit=5)
    assert OrmQ.objects.count() == 1


def test_leases(start_cluster: Start, lines: Lines) -> None:
    """Law: a task longer than the lease runs once, with idle workers beside it; what a dead cluster
    held comes back to the others when its lease ends."""
    doomed = start_cluster(QUEUE_TEST_WORKERS="1").wait_until_up(1)
    lost = tasks.write_slowly.enqueue("lost", 1)
    wait_for(lambda: len(lines()) == 1)
    doomed.kill_group()
    survivor = start_cluster().wait_until_up()
    long_one = tasks.hog.enqueue("long", 12)
    wait_for(lambda: finished(lost), limit=20)
    wait_for(lambda: finished(long_one), limit=25)
    assert Counter(" ".join(line.split()[:2]) for line in lines()) == {
        "begin lost": 2, "end lost": 1, "begin long": 1, "end long": 1,
    }  # fmt: skip
    assert survivor.stop() == 0


@pytest.mark.parametrize("how", ["once", "twice", "group", "interrupt"])
def test_stop(start_cluster: Start, lines: Lines, how: str) -> None:
    """Law (E8): running tasks finish, what is not begun goes back to the queue at once, the exit status is 0,
    nobody is left; whoever sends the signal, and however often."""
    cluster = start_cluster().wait_until_up()
    for i in range(6):
        tasks.write_slowly.enqueue(str(i), 1)
    wait_for(lambda: len(lines()) == 2)
    everybody = cluster.everybody()
    if how == "group":
        cluster.kill_group(signal.SIGTERM)
    elif how == "interrupt":
        cluster.kill_group(signal.SIGINT)
    else:
        for _ in range(2 if how == "twice" else 1):
            cluster.process.terminate()
    assert cluster.process.wait(10) == 0
    assert gone(everybody)
    assert Counter(line.split()[0] for line in lines()) == {"begin": 2, "end": 2}
    assert Success.objects.count() == 2
    assert OrmQ.objects.filter(lock__lte=timezone.now()).count() == 4


def test_a_task_that_kills_its_worker_ends_as_failed(start_cluster: Start, lines: Lines) -> None:
    """Law: it is tried three times, then it is a failure; those merged with it all run."""
    poison = tasks.die.enqueue("die")
    crowd = enqueue_words(tasks.collect_or_die, [[f"w{i}"] for i in range(5)] + [["poison"]])
    cluster = start_cluster()
    wait_for(lambda: finished(poison, *crowd) and not OrmQ.objects.exists())
    assert lines().count("die") == 3
    assert poison.status == TaskResultStatus.FAILED
    assert poison.attempts == 3
    assert [result.status for result in crowd[:-1]] == [TaskResultStatus.SUCCESSFUL] * 5
    assert crowd[-1].status == TaskResultStatus.FAILED
    assert set(" ".join(lines()).split()) == {"die", *(f"w{i}" for i in range(5))}
    assert cluster.stop() == 0


def test_a_task_over_its_time_is_killed_and_failed(start_cluster: Start, lines: Lines) -> None:
    """Law: it is not run again, and the other worker and the next task do not notice."""
    cluster = start_cluster(QUEUE_TEST_TIMEOUT="1", QUEUE_TEST_WORKERS="1")
    slow, quick = tasks.hog.enqueue("slow", 30), tasks.write.enqueue("quick")
    wait_for(lambda: finished(slow, quick) and not OrmQ.objects.exists())
    assert slow.errors[0].exception_class is TimeoutError
    assert quick.status == TaskResultStatus.SUCCESSFUL
    row = Failure.objects.get()
    assert row.stopped - row.started >= timedelta(seconds=1), "it says how long it had"
    assert [line.split()[0] for line in lines()] == ["begin", "quick"]
    assert cluster.stop() == 0


def test_what_this_version_does_not_know_is_kept(start_cluster: Start, lines: Lines) -> None:
    """Law: an unknown function and an unreadable payload stay in the queue, are named once, hold up
    nobody, and run once a worker knows them."""
    package = SignedPackage.loads(async_payload("tests.queue.tasks.of_the_next_version.call", "new"))
    OrmQ.objects.create(key="default", payload=SignedPackage.dumps(package), lock=timezone.now())
    OrmQ.objects.create(key="default", payload="not signed", lock=timezone.now())
    old = start_cluster().wait_until_up()
    known = tasks.write.enqueue("known")
    wait_for(lambda: finished(known))
    wait_for(lambda: OrmQ.objects.filter(lock__gt=timezone.now()).count() == 2)
    assert old.stop() == 0
    assert old.output().count("outcome=kept") == 2
    OrmQ.objects.update(lock=timezone.now())
    new = start_cluster(QUEUE_TEST_NEW_VERSION="1")
    wait_for(lambda: lines() == ["known", "new"])
    wait_for(lambda: OrmQ.objects.count() == 1)
    assert new.stop() == 0


def async_payload(path: str, *args: object) -> str:
    async_task(path, *args)
    entry = OrmQ.objects.get()
    entry.delete()
    return str(entry.payload)


def test_run_once(start_cluster: Start, lines: Lines) -> None:
    """Law: `--run-once` runs all that is due, and ends."""
    for i in range(5):
        tasks.write.enqueue(str(i))
    tasks.write.using(run_after=timezone.now() + timedelta(hours=1)).enqueue("later")
    cluster = start_cluster("--run-once")
    assert cluster.process.wait(20) == 0
    assert sorted(lines()) == ["0", "1", "2", "3", "4"]
    assert Task.objects.count() == 5


def test_named_queues(start_cluster: Start, lines: Lines, settings: Any) -> None:
    """Law: `-n` runs the queue of that name only; an unknown name is refused."""
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default", "bulk"]}}
    default, bulk = tasks.write.enqueue("default"), tasks.write.using(queue_name="bulk").enqueue("bulk")
    cluster = start_cluster("-n", "bulk").wait_until_up(1)
    wait_for(lambda: finished(bulk))
    assert cluster.stop() == 0
    assert lines() == ["bulk"]
    default.refresh()
    assert default.status == TaskResultStatus.READY
    wrong = start_cluster("-n", "nobody")
    assert wrong.process.wait(20) == 1
    assert "No queue 'nobody'" in wrong.output()


def test_workers_are_recycled(start_cluster: Start, lines: Lines) -> None:
    """Law: a worker leaves after its number of calls, another takes its place, no task is lost or doubled."""
    cluster = start_cluster(QUEUE_TEST_RECYCLE="3").wait_until_up()
    pids = {process.pid for process in cluster.processes("worker")}
    enqueued: list[str] = []

    def all_replaced() -> bool:
        """More to do for as long as one of the first is there: who gets how much is not said."""
        if not pids & {process.pid for process in cluster.processes("worker")}:
            return True
        enqueued.append(str(len(enqueued)))
        tasks.write.enqueue(enqueued[-1])
        return False

    wait_for(all_replaced)
    wait_for(lambda: Success.objects.count() == len(enqueued))
    assert sorted(lines(), key=int) == enqueued
    cluster.wait_until_up()
    assert cluster.stop() == 0
    assert "reason=died" not in cluster.output()


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_a_connection_pool_is_not_inherited(start_cluster: Start, lines: Lines) -> None:
    """Law: with psycopg's pool in the settings each process makes its own."""
    pytest.importorskip("psycopg_pool")
    cluster = start_cluster(QUEUE_TEST_POOL="1").wait_until_up()
    results = [tasks.write.enqueue(str(i)) for i in range(20)]
    wait_for(lambda: finished(*results))
    assert cluster.stop() == 0


def test_the_database_goes_away(start_cluster: Start, lines: Lines) -> None:
    """Law: a cluster outlives an outage: connections that were cut are made again, nothing runs twice."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connections to cut")
    cluster = start_cluster().wait_until_up()
    slow = tasks.write_slowly.enqueue("slow", 1)
    wait_for(lambda: lines())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    after = tasks.write.enqueue("after")
    wait_for(lambda: finished(slow, after))
    assert Counter(line.split()[0] for line in lines()) == {"begin": 1, "end": 1, "after": 1}
    assert cluster.stop() == 0
