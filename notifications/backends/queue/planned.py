"""A statement that finds few rows among many, planned by PostgreSQL once for each connection, by indexes only.

Note [A plan that can be kept]: to read and plan the claim of entries takes the server as long as to execute it. But a
plan that is kept may have been made when the table was a single page, and then it reads all of it: a backlog of a
million for each claim. So while it is made, what could read a table, sort it, or join all of it is switched off. What
is left are indexes, and of those there must be one alone that fits: among several PostgreSQL takes any when all are
empty. (So the claim of a notification by its id, which three indexes hold, is planned each time.)
"""

import re
from collections.abc import Sequence
from itertools import count
from typing import Any
from weakref import WeakSet

from django.db import ProgrammingError

NO_SUCH_STATEMENT = "26000"
BY_INDEX = "".join(
    f"SET LOCAL {name};"
    for name in (
        "enable_seqscan = off",
        "enable_sort = off",
        "enable_hashjoin = off",
        "enable_mergejoin = off",
        "plan_cache_mode = force_generic_plan",
    )
)


class Planned:
    """`text` has `%s` for each parameter, and a cast where PostgreSQL cannot tell its type. `settings` come before it.

    Inside a transaction, and where `prepare_threshold` is None (behind a pooler, which has no sessions), it is planned
    each time, by what the tables hold at that moment.
    """

    def __init__(self, name: str, text: str, settings: str = "") -> None:
        self.name = name
        number = count(1)
        self.prepare = f"PREPARE {name} AS {re.sub('%s', lambda _: f'${next(number)}', text)}"
        places = ", ".join(["%s"] * text.count("%s"))
        self.planned = f"{BY_INDEX}{settings}EXECUTE {name} ({places})"
        self.unplanned = settings + text
        self._prepared: WeakSet[Any] = WeakSet()  # connections

    def rows(self, cursor: Any, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """One round trip, and outside a transaction one of its own. Raises what the statement raises."""
        connection = cursor.connection
        if connection.prepare_threshold is None or connection.pgconn.transaction_status:  # 0: idle
            return _last(cursor, self.unplanned, parameters)
        if connection in self._prepared:
            try:
                return _last(cursor, self.planned, parameters)
            except ProgrammingError as error:
                # Of what was prepared psycopg, too, keeps nothing when a transaction is rolled back.
                if getattr(error.__cause__, "sqlstate", None) != NO_SUCH_STATEMENT:
                    raise
        cursor.execute(self.prepare)
        self._prepared.add(connection)
        return _last(cursor, self.planned, parameters)


def _last(cursor: Any, text: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of the last of these statements."""
    cursor.execute(text, parameters)
    while cursor.nextset():
        pass
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
