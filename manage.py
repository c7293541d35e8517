#!/usr/bin/env python
"""Django's command line for this service: `python manage.py help` lists what it can do."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError
    from environs import EnvError

    try:
        execute_from_command_line(sys.argv)
    except (EnvError, ImproperlyConfigured) as error:  # the message says it all
        if "--traceback" in sys.argv:
            raise
        sys.exit(str(error))
    except OperationalError as error:
        if "--traceback" in sys.argv or not is_unreachable(error.__cause__):
            raise
        sys.exit(f"The database cannot be used ({str(error).splitlines()[0]}). Is DATABASE_URL right?")


def is_unreachable(error: BaseException | None) -> bool:
    """What a server says of a statement has an SQLSTATE; that there is no server, or no such database, has none."""
    no_file = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))
    return no_file or getattr(error, "sqlstate", "") is None


if __name__ == "__main__":
    main()
