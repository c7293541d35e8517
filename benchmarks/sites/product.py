"""Fill the product's tables: entries by its own queue, rows copied from one that its front desk wrote.

Sixty thousand times through the front desk would take longer than what is measured afterwards.
"""

from collections.abc import Iterable, Sequence
from itertools import batched
from typing import Any

from django.db import connection, transaction

from notifications import services, tasks
from notifications.backends.enqueueing import enqueue_many
from notifications.models import Notification, new_id

BATCH = 2000  # rows a transaction
TABLE = Notification._meta.db_table


def fill(recipients: Iterable[str]) -> None:
    for batch in batched(recipients, BATCH):
        channel = "slow" if batch[0].startswith("s") else "log"
        ids = [new_id() for _ in batch]
        with transaction.atomic():
            task_ids = enqueue_many((tasks.lane(channel), [[str(id)]]) for id in ids)
            # With the times of this moment: rows that are older than every entry look as if theirs were lost, and the
            # sweep would read them all again and again.
            pattern = _row_of(channel)
            own = zip((_stored(id) for id in ids), batch, task_ids, strict=True)
            _insert(
                list(pattern),
                [
                    tuple((pattern | {"id": id, "recipient": recipient, "task_id": task_id}).values())
                    for id, recipient, task_id in own
                ],
            )


def _row_of(channel: str) -> dict[str, Any]:
    """A row as the database holds it, by column. It is not there afterwards."""
    with transaction.atomic(), connection.cursor() as cursor:
        accepted = services.accept(
            recipient="f00000000@example.com", message="some notification", channel=channel, via="queue"
        )
        cursor.execute(f"SELECT * FROM {TABLE} WHERE id = %s", [_stored(accepted.pk)])
        row = dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))
        transaction.set_rollback(True)
    return row


def _stored(id: Any) -> Any:
    return Notification._meta.pk.get_db_prep_value(id, connection)


def _insert(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {TABLE} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {TABLE} ({names}) VALUES ({marks})", rows)
