"""What the broker has not confirmed yet: entries of the queue's table under a key of their own.

An entry is written in the caller's transaction. While its lock lies ahead, whoever wrote it publishes it, or it
waits for its time; later anybody may. It is deleted when the broker has its message, so a message may be sent
twice and never not at all. Its content is that of the queue's own entries, so that it can change over to them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError
from django.db.models import Value
from django.db.models.functions import Now

from ..queue import package, signing
from ..queue.broker import queue_table
from ..queue.entries import key_for
from ..queue.package import Package

HOLD = timedelta(seconds=10)  # for whoever wrote or claimed it; then it is anybody's


def key(alias: str) -> str:
    return f"celery/{alias}"


def write(alias: str, contents: Sequence[Package], times: Sequence[datetime | None]) -> list[int]:
    """One statement, in the caller's transaction. An entry without a time is held for who writes it."""
    held = Now() + Value(HOLD)
    rows = [
        _rows().model(key=key(alias), payload=signing.dumps(content), lock=time or held)
        for content, time in zip(contents, times, strict=True)
    ]
    return [row.pk for row in _rows().bulk_create(rows)]


def put_back(alias: str, content: Package, delay: timedelta) -> None:
    """Publish it again after `delay`."""
    row = _rows().model(key=key(alias), payload=signing.dumps(content), lock=Now() + Value(delay))
    _rows().bulk_create([row])


def claim(alias: str, limit: int) -> list[tuple[int, Package]]:
    """What is due, held for us. An entry that cannot be read stays where it is: a later version may know it."""
    claimed = []
    for entry in queue_table().claim(key(alias), limit, HOLD):
        try:
            claimed.append((entry.pk, package.unpack(entry.payload)))
        except package.UnreadablePackage:
            continue
    return claimed


def release(pks: Sequence[int]) -> None:
    """Anybody may publish these, now."""
    _rows().filter(pk__in=pks).update(lock=Now())


def postpone(pks: Sequence[int], delay: timedelta) -> None:
    """Nobody publishes these before `delay` has passed."""
    _rows().filter(pk__in=pks).update(lock=Now() + Value(delay))


def hand_over(items: Sequence[tuple[int, Package]]) -> None:
    """Make them entries of the queue, due now. Their primary keys stay, so whoever looks for a task finds it."""
    by_key: dict[str, list[int]] = {}
    for pk, content in items:
        key = key_for(content["queue"], content.get("priority", 0))
        by_key.setdefault(key, []).append(pk)
    for key, pks in by_key.items():
        _rows().filter(pk__in=pks).update(key=key, lock=Now())


def next_due(alias: str) -> datetime | None:
    return queue_table().next_lock(key(alias))


def delete(pks: Sequence[int]) -> None:
    queue_table().delete(list(pks))


def existing(pks: Sequence[int]) -> set[int]:
    return queue_table().existing(list(pks)) if pks else set()


def is_away() -> bool:
    """Whether the database does not answer, on the connection of this thread."""
    try:
        existing([0])
    except (OperationalError, InterfaceError):
        return True
    return False


def content_of(pk: int) -> Package | None:
    for _, payload, _ in queue_table().read([pk]):
        try:
            return package.unpack(payload)
        except package.UnreadablePackage:
            return None
    return None


def _rows() -> Any:
    from django_q.models import OrmQ

    return OrmQ.objects.using(queue_table().using)
