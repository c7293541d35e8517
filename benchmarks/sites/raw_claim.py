"""The limit of the table: claim 200 rows and delete them in one transaction, write their lines, again."""

import os
import time

import django
from django.db import connection, transaction

from .job import LOG, append

BATCH = 200
IDLE = 0.02  # seconds
LINES = "notification for f00000000@example.com: some notification\n"


def main() -> None:
    django.setup()
    lock = " FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    claim = f"SELECT id, payload FROM django_q_ormq ORDER BY key, lock LIMIT {BATCH}{lock}"
    while os.getppid() != 1:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(claim)
            rows = cursor.fetchall()
            if rows:
                marks = ", ".join(["%s"] * len(rows))
                cursor.execute(f"DELETE FROM django_q_ormq WHERE id IN ({marks})", [pk for pk, _ in rows])
        if rows:
            append(LOG, LINES * len(rows))
        else:
            time.sleep(IDLE)


if __name__ == "__main__":
    main()
