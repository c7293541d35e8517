"""django-q2's broker interface over the queue's table: what `async_task`, schedules, the admin and `qinfo` use."""

from datetime import timedelta
from time import sleep
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django_q.brokers import Broker
from django_q.conf import Conf

from ...clock import database_now
from . import wakeup
from .entries import Entry, NewEntry, priority_of
from .sql import QueueTable

# How long a claim holds without renewal. Short, so that what a dead cluster held comes back soon; the pusher
# renews what is still being worked on, so a long task never outlives it.
LEASE = timedelta(seconds=10)


def queue_table() -> QueueTable:
    return QueueTable(Conf.ORM or DEFAULT_DB_ALIAS)


class OrmBroker(Broker):  # type: ignore[misc]
    """Entries of one queue: claimed in batches, highest priority and longest waiting first.

    Two clusters never get the same entry, however many run. An entry that nobody acknowledges and whose lease
    nobody renews is due again when the lease ends.
    """

    @property
    def table(self) -> QueueTable:
        return queue_table()

    def enqueue(self, task: str) -> int:
        """One INSERT, inside the caller's transaction if there is one."""
        [pk] = insert([NewEntry(self.list_key or Conf.CLUSTER_NAME, task)])
        return pk

    def claim(
        self, limit: int, *, background: bool | None = None, keys: list[str] | None = None
    ) -> list[Entry]:
        """Up to `limit` due entries, leased. Empty when nothing is due; never waits.

        `background` True takes only what has a priority below 0, False only the rest. `keys` are those of the
        queue, where the caller has just looked them up.
        """
        claimed: list[Entry] = []
        for key in self.keys() if keys is None else keys:
            if len(claimed) >= limit:
                break
            if background is not None and background != ((priority_of(key, self.list_key) or 0) < 0):
                continue
            claimed += self.table.claim(key, limit - len(claimed), LEASE)
        return claimed

    def keys(self) -> list[str]:
        """Those of this queue in use, highest priority first; always with the plain one, which nearly all have."""
        keys = {self.list_key, *self.table.keys(self.list_key)}
        return sorted(keys, key=lambda key: priority_of(key, self.list_key) or 0, reverse=True)

    def idle_for(self, keys: list[str]) -> float:
        """Seconds until the next entry of these keys is due, at most the polling interval."""
        locks = [self.table.next_lock(key) for key in keys]
        next_lock = min((lock for lock in locks if lock is not None), default=None)
        if next_lock is None:
            return float(Conf.POLL)
        due_in = (next_lock - database_now(self.table.using)).total_seconds()
        return max(0.0, min(due_in, float(Conf.POLL)))

    def dequeue(self) -> list[tuple[int, str]] | None:
        """For django-q2's own pusher, which our cluster does not use."""
        if claimed := self.claim(Conf.BULK):
            return [(entry.pk, entry.payload) for entry in claimed]
        sleep(Conf.POLL)
        return None

    def acknowledge(self, task_id: int) -> None:
        self.table.delete([task_id])

    def delete(self, task_id: int) -> None:
        self.table.delete([task_id])

    def fail(self, task_id: int) -> None:
        """An unreadable entry stays: a later version may know it. django-q2 would delete it."""

    def queue_size(self) -> int:
        return int(self._entries().filter(lock__lte=_now()).count())

    def lock_size(self) -> int:
        return int(self._entries().filter(lock__gt=_now()).count())

    def purge_queue(self) -> None:
        self._entries().delete()

    def delete_queue(self) -> None:
        self.purge_queue()

    def ping(self) -> bool:
        return True

    def info(self) -> str:
        return f"ORM {Conf.ORM}"

    def _entries(self) -> Any:
        from django_q.models import OrmQ

        return OrmQ.objects.using(self.table.using).filter(key__in=self.table.keys(self.list_key))


def insert(entries: list[NewEntry]) -> list[int]:
    """Write entries in the caller's transaction; the clusters hear of them when it commits."""
    return queue_table().insert(entries, notify=wakes())


def wakes() -> bool:
    """Whether the statement that writes an entry is to wake the clusters (PostgreSQL). It counts as having done so."""
    table = queue_table()
    notify = table.is_postgresql and wakeup.may_notify()
    if notify:
        wakeup.count_notify_at_commit(table.using)
    return notify


def _now() -> Any:
    from django.db.models.functions import Now

    return Now()
