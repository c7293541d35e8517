"""What every command begins with that needs the tables: without them it says the way out, and no traceback."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError


class DatabaseCommand(BaseCommand):
    """Raises CommandError where the database is away, or has no tables yet."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (OperationalError, ProgrammingError) as error:
            # A missing table is the one on SQLite, the other on PostgreSQL.
            raise CommandError(
                f"The database cannot be used ({str(error).splitlines()[0]}). "
                "manage.py migrate makes its tables, manage.py doctor says what else is wrong."
            ) from error
