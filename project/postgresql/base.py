"""Django's PostgreSQL backend, except that it looks at a connection's socket before it asks the server, and settles
what a role's defaults would change.

Note [A look at the socket]: with CONN_HEALTH_CHECKS Django asks `SELECT 1` in each request, a round trip for a
request that needs one more. But a server that has closed a connection, or ended, leaves that on the socket; so
does a network that is cut, when the kernel's keepalives have found out (see `project.database`). While nothing has come
in there is nothing to hear, and the first statement is as good a question as any.

Note [Whatever the role's defaults]: our statements are written for READ COMMITTED, where whoever waited for a row sees
what became of it; a stricter default would make errors of what is ordinary under load. And psycopg reads times in ISO
form only. Both may be set for a role, a database or a server, by people who think of other programs.
"""

import select
from functools import cached_property
from types import TracebackType
from typing import Any

from django.db import OperationalError
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from psycopg.errors import ReadOnlySqlTransaction

READ_COMMITTED = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"
ISO_TIMES = "SET DateStyle TO ISO"


class DatabaseWrapper(base.DatabaseWrapper):
    """Its `is_usable` asks the server only where something has come in unasked: mostly the end."""

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return Errors(self)

    def _configure_connection(self, connection: Any) -> bool:
        """Django's own place for it, with a pool and without. See Note [Whatever the role's defaults]."""
        style = connection.info.parameter_status("DateStyle") or ""
        with connection.cursor() as cursor:
            cursor.execute(READ_COMMITTED if style.startswith("ISO") else f"{ISO_TIMES}; {READ_COMMITTED}")
        super()._configure_connection(connection)  # type: ignore[misc]
        return True


class Errors(DatabaseErrorWrapper):
    """Raises OperationalError for what only reads: a standby, or a server that was told to.

    psycopg calls it an InternalError, which nobody waits out. But it is as a server that is away: another one may
    take its place, or it may be promoted, and nothing is wrong with what was asked.
    """

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc_value, ReadOnlySqlTransaction):
            raise OperationalError(*exc_value.args).with_traceback(traceback) from exc_value
        super().__exit__(exc_type, exc_value, traceback)
