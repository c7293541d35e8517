"""For tests of code that adds background tasks: run them inline, collect them, or wait for them.

All work in a `TestCase` too, whose transaction never commits: what a view added in its own `atomic()` block
counts when the request is over, as in production.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from . import pool
from .tasks import BackgroundTask, BackgroundTasks


@contextmanager
def run_inline() -> Iterator[None]:
    """In this block the tasks of a request run in the test's own thread, before the client returns."""
    with pool.replaced(BackgroundTasks.run):
        yield


@contextmanager
def collect() -> Iterator[list[BackgroundTask]]:
    """In this block nothing runs; the list has what would have run, in order. Call `run()` on one to run it."""
    collected: list[BackgroundTask] = []

    def keep(tasks: BackgroundTasks) -> None:
        for batch in iter(tasks.take, []):
            collected.extend(batch)

    with pool.replaced(keep):
        yield collected


def wait(timeout: float = 10) -> None:
    """Wait until all tasks of this process have run. Raises `TimeoutError` after `timeout` seconds."""
    existing = pool.existing_pool()
    if existing is not None and not existing.wait_idle(timeout):
        raise TimeoutError(f"Background tasks still run after {timeout} s.")


def stop_pool(timeout: float = 10) -> None:
    """Finish all tasks, end the threads and close their connections. The next task makes a new pool.

    For the end of a test that let real threads touch the database, before the database is destroyed.
    """
    existing = pool.existing_pool()
    if existing is not None:
        existing.drain(timeout)
        pool.renew()
