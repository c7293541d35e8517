"""Ties background work to the transaction it was added in.

Note [A task counts when its transaction commits]
A task made inside an `atomic()` block of the default database counts only once that block has committed; after a
rollback it never runs. Blocks that a TestCase puts around every test do not count as transactions, as in Django's own
`durable`. Django runs no commit hooks inside those, so at the hand-over what has not been rolled back counts there.
"""

from collections.abc import Callable
from typing import Any

from django.db import transaction


class Hook:
    """What `when_committed` gives to Django, so that it can be told from other people's hooks."""

    def __init__(self, func: Callable[[], object]) -> None:
        self.func = func

    def __call__(self) -> None:
        self.func()


def when_committed(func: Callable[[], object]) -> None:
    """Call `func` when the open transaction of the default database commits; at once if there is none."""
    connection = transaction.get_connection()
    if _only_testcase_blocks(connection):
        func()
    else:
        connection.on_commit(Hook(func))


def commit_for_a_testcase() -> None:
    """Inside a TestCase's transaction and no other: call what has survived the blocks it was added in."""
    connection = transaction.get_connection()
    if connection.atomic_blocks and _only_testcase_blocks(connection):
        for entry in connection.run_on_commit[:]:
            if isinstance(entry[1], Hook):
                connection.run_on_commit.remove(entry)
                entry[1]()


def _only_testcase_blocks(connection: Any) -> bool:
    return all(block._from_testcase for block in connection.atomic_blocks)  # noqa: SLF001  no public name
