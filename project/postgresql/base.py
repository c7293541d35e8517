"""Django's PostgreSQL backend, except that it looks at a connection's socket before it asks the server.

Note [A look at the socket]: with CONN_HEALTH_CHECKS Django asks `SELECT 1` in each request, a round trip for a
request that needs one more. But a server that has closed a connection, or ended, leaves that on the socket; so
does a network that is cut, when the kernel's keepalives have found out (see `project.database`). While nothing has come
in there is nothing to hear, and the first statement is as good a question as any.
"""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Its `is_usable` asks the server only where something has come in unasked: mostly the end."""

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()
