"""Whose clock decides: the database's, for the clocks of hosts differ.

Statements read it where they need it. This is for what has to know the time outside of a statement: a moment that
came from a caller, a worker's silence. Displays and logs may use the host's.
"""

from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone


def database_now(using: str = DEFAULT_DB_ALIAS) -> datetime:
    """The time of the database: one query on PostgreSQL. SQLite has no host but this one.

    Raises django.db.DatabaseError when the database cannot be reached.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
