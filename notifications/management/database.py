"""What every command begins with that needs the tables: without them it says the way out, and no traceback."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, DataError, IntegrityError


class DatabaseCommand(BaseCommand):
    """Raises CommandError where the database is away, damaged, or has no tables yet."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (DataError, IntegrityError):  # what it was asked for is wrong, not the database
            raise
        except DatabaseError as error:
            # A missing table is an OperationalError on SQLite, a ProgrammingError on PostgreSQL; of a file that is no
            # database, or a damaged one, no more is said than DatabaseError.
            raise CommandError(
                f"The database cannot be used ({str(error).splitlines()[0]}). "
                "manage.py migrate makes its tables, manage.py doctor says what else is wrong."
            ) from error
