"""`python -m benchmarks.sites.schedule COUNT`: so many notifications that wait for tomorrow.

One is accepted through the product; its two rows are then copied by SQL, which is how a million fit in a
benchmark. They are never run, so the copies' payload may name the first.
"""

import sys
from datetime import timedelta

import django
from django.db import connection, transaction
from django.utils import timezone

SERIES = "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < %s)"
NEW_ID = {"postgresql": "gen_random_uuid()", "sqlite": "lower(hex(randomblob(16)))"}


def main() -> None:
    django.setup()
    from notifications import services
    from notifications.models import Notification

    copies = int(sys.argv[1]) - 1
    services.accept(
        recipient="t00000000@example.com",
        message="some notification",
        via="queue",
        due_at=timezone.now() + timedelta(days=1),
    )
    names = [f'"{field.column}"' for field in Notification._meta.concrete_fields if field.name != "id"]
    columns, new_id = ", ".join(names), NEW_ID[connection.vendor]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO notifications_notification (id, {columns}) {SERIES} "
            f"SELECT {new_id}, {columns} FROM notifications_notification, series",
            [copies],
        )
        cursor.execute(
            f"INSERT INTO django_q_ormq (key, payload, lock) {SERIES} "
            "SELECT key, payload, lock FROM django_q_ormq, series",
            [copies],
        )


if __name__ == "__main__":
    main()
