"""What django-q2 does after a task, on real clusters: groups in the cache, hooks, chains."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django_q.models import Failure, OrmQ
from django_q.tasks import async_chain, async_iter, async_task, count_group_cached, result

from .conftest import RunningCluster, wait_for

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

Start = Callable[..., RunningCluster]
Lines = Callable[[], list[str]]


@pytest.fixture
def cache(tmp_path: Path, settings: Any) -> str:
    """A cache that all processes share."""
    location = str(tmp_path / "cache")
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": location}}
    return location


def test_workers_lose_no_result_of_a_group(start_cluster: Start, cache: str) -> None:
    """Law: results that workers write to the cache at the same time are all there, as with one monitor."""
    groups = [async_iter("tests.queue.tasks.double", list(range(20))) for _ in range(5)]
    for number in range(50):
        async_task("tests.queue.tasks.double", number, cached=True, group="cached")
    cluster = start_cluster(QUEUE_TEST_CACHE=cache)
    wait_for(lambda: not OrmQ.objects.exists())
    assert [sorted(result(group) or []) for group in groups] == [list(range(0, 40, 2))] * 5
    assert count_group_cached("cached") == 50
    assert cluster.stop() == 0


def test_what_is_killed_for_its_time_goes_on(start_cluster: Start, lines: Lines) -> None:
    """Law: its hook is called, and its chain goes on; a hook that kills whoever calls it harms nobody else."""
    hook = "tests.queue.tasks.note_result"
    task_id = async_task("tests.queue.tasks.hog.call", "slow", 60, timeout=1, hook=hook)
    async_task("tests.queue.tasks.hog.call", "fatal", 60, timeout=1, hook="tests.queue.tasks.die_as_hook")
    async_chain(
        [
            ("tests.queue.tasks.hog.call", ("chained", 60), {"timeout": 1}),
            ("tests.queue.tasks.plain", ("last",)),
        ]
    )
    cluster = start_cluster(QUEUE_TEST_WORKERS="1")
    wait_for(lambda: "last" in lines() and not OrmQ.objects.exists())
    assert [line for line in lines() if line.startswith("hook")] == [
        "hook builtins.TimeoutError: ran over its time"
    ]
    assert Failure.objects.count() == 3
    assert Failure.objects.get(pk=task_id).hook == hook
    assert cluster.output().count("hooks=uncalled") == 1
    assert cluster.stop() == 0
