"""The clerk: writes what was accepted, row and entry, in one transaction: the front desk's, or one of its own."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import datetime
from itertools import batched
from uuid import UUID

from django.db import connections, transaction
from django.tasks import Task, TaskResult, task_backends

from . import limits, statements
from .backends.enqueueing import enqueue_many, enqueue_with_row
from .backends.queue import QueueBackend
from .backends.queue.broker import insert, queue_table, wakes
from .conf import notification_settings
from .exceptions import RecipientLimitReached
from .models import Notification, database
from .orders import Order, Refusal
from .signals import accepted

ENTRY = 100  # notifications of a batch that share an entry of the queue


def write(order: Order, enqueue: Callable[..., TaskResult] | None) -> Notification:
    """Row and entry, or the notification that has this key already."""
    if order.dedupe_key and (there := _with_keys([order])):
        return _duplicate(there[order.dedupe_key])
    limits.count(order.fields["recipient"])
    [notification] = _insert([order])
    enqueue_afterwards([order], enqueue)
    announce(notification)
    return notification


def write_together(orders: Sequence[Order]) -> Sequence[Notification | RecipientLimitReached]:
    """Orders of several callers, none of them with a key, all or none. Each still has to `enqueue_afterwards`."""
    using = database()
    if not notification_settings().recipient_limits:
        if queue := _sole_queue(orders, using):
            return _insert_ready(orders, queue, using)
        if not _divided(orders)[0]:
            return _insert(orders)  # one statement, which needs no transaction
    with transaction.atomic(using=using):
        refused = _over_limit(dict(enumerate(orders)))
        rows = iter(_insert([order for position, order in enumerate(orders) if position not in refused]))
        return [refused.get(position) or next(rows) for position in range(len(orders))]


def enqueue_afterwards(orders: Sequence[Order], enqueue: Callable[..., TaskResult] | None) -> None:
    """Enqueue, when the transaction has committed, the tasks that have no entry in it."""
    _, without = _divided(orders)
    by_task: dict[Task, list[str]] = {}
    for order in without:
        by_task.setdefault(order.task, []).append(order.argument)
    for task, ids in by_task.items():
        enqueue_with_row(task, ids, enqueue=enqueue)


def write_many(
    orders: Sequence[Order | Refusal], enqueue: Callable[..., TaskResult] | None
) -> Sequence[Notification | Refusal]:
    """Rows and entries by one INSERT each. Results in the order given."""
    results: dict[int, Notification | Refusal] = {}
    there = _with_keys([order for order in orders if isinstance(order, Order)])
    mine: dict[str, int] = {}
    new: dict[int, Order] = {}
    for position, order in enumerate(orders):
        if not isinstance(order, Order):
            results[position] = order
        elif order.dedupe_key in there:
            results[position] = _duplicate(there[order.dedupe_key])
        elif order.dedupe_key and order.dedupe_key in mine:
            continue  # the same key twice in one batch: the first is the one
        else:
            mine[order.dedupe_key] = position
            new[position] = order
    for position, refusal in _over_limit(new).items():
        results[position] = refusal
        del new[position]
    rows = _insert(list(new.values()))
    enqueue_afterwards(list(new.values()), enqueue)
    for row in rows:
        announce(row)
    results |= dict(zip(new, rows, strict=True))
    for position, order in enumerate(orders):
        if position not in results and isinstance(order, Order):
            first = results[mine[order.dedupe_key]]
            results[position] = _duplicate(copy(first)) if isinstance(first, Notification) else first
    return [results[position] for position in range(len(orders))]


def _over_limit(orders: Mapping[int, Order]) -> dict[int, RecipientLimitReached]:
    """Count each. In the order of recipients: whoever locks several counts takes them in one order."""
    refused = {}
    if notification_settings().recipient_limits:
        for position, order in sorted(orders.items(), key=lambda item: item[1].fields["recipient"]):
            try:
                limits.count(order.fields["recipient"])
            except RecipientLimitReached as error:
                refused[position] = error
    return dict(sorted(refused.items()))


def _insert(orders: Sequence[Order]) -> list[Notification]:
    """Entries where they can be written in the transaction, and rows: one statement for all of each."""
    parts = _parts(_divided(orders)[0])
    task_ids: dict[UUID, str] = {}
    for alias in {task.backend for task, _ in parts}:
        entries = [(task, part) for task, part in parts if task.backend == alias]
        ids = enqueue_many((task, [[order.argument for order in part]]) for task, part in entries)
        for (_, part), task_id in zip(entries, ids, strict=True):
            task_ids |= dict.fromkeys((order.id for order in part), task_id)
    rows = [order.row(task_ids.get(order.id, "")) for order in orders]
    if rows:
        _stored(rows, statements.insert(rows, database()))
    return rows


def _insert_ready(orders: Sequence[Order], queue: QueueBackend, using: str) -> list[Notification]:
    """The same in a transaction of its own, which begins when all is made ready: others wait for SQLite's writer.

    Note [One round trip]: with PostgreSQL a transaction of two statements is four round trips, each of which costs
    a request about as much as all of its Python. There it is one statement, and no transaction, for what shares an
    entry: nearly always all of them.

    What is to be done when it is committed is done robustly, for there is no way back.
    """
    parts = _parts(orders)
    batch = queue.prepare((task, [[order.argument for order in part]], {}) for task, part in parts)
    parted = zip(batch.results, parts, strict=True)
    results = {order.id: result for result, (_, part) in parted for order in part}
    rows = [order.row(results[order.id].id) for order in orders]
    if len(batch.entries) == 1 and connections[using].vendor == "postgresql":
        [entry] = batch.entries
        pk, created_at = statements.insert_enqueued(rows, entry, using, notify=wakes())
        batch.number([pk])
        for row in rows:
            row.task_id = results[row.pk].id
    else:
        with transaction.atomic(using=using):
            batch.number(insert(batch.entries))
            for row in rows:
                row.task_id = results[row.pk].id
            created_at = statements.insert(rows, using)
    _stored(rows, created_at)
    transaction.on_commit(batch.announce, using, robust=True)
    return rows


def _parts(orders: Sequence[Order]) -> list[tuple[Task, tuple[Order, ...]]]:
    """What shares an entry: orders of one task, so many."""
    by_task: dict[Task, list[Order]] = {}
    for order in orders:
        by_task.setdefault(order.task, []).append(order)
    return [(task, part) for task, group in by_task.items() for part in batched(group, ENTRY)]


def _sole_queue(orders: Sequence[Order], using: str) -> QueueBackend | None:
    """The backend of all of these, if its entries lie beside the rows and can be made ready before."""
    backend, *others = {order.task.backend for order in orders}
    queue = task_backends[backend]
    return queue if not others and isinstance(queue, QueueBackend) and queue_table().using == using else None


def has_entry(order: Order) -> bool:
    """Whether its backend writes what waits to this database, in the transaction. A thread, say, does not."""
    backend = task_backends[order.task.backend]
    return hasattr(backend, "enqueue_many") and getattr(backend, "enqueues_in_transaction", False)


def _divided(orders: Sequence[Order]) -> tuple[list[Order], list[Order]]:
    """Those that have an entry, and those that have none. Each backend is asked once."""
    there = {alias: has_entry(order) for alias, order in {o.task.backend: o for o in orders}.items()}
    with_entry: list[Order] = []
    without: list[Order] = []
    for order in orders:
        (with_entry if there[order.task.backend] else without).append(order)
    return with_entry, without


def _stored(rows: Sequence[Notification], created_at: datetime) -> None:
    """Fill in what the database has filled in, without another look."""
    for row in rows:
        row.created_at = created_at
        row.due_at = row.next_attempt_at = row.due_at or created_at
        row._state.adding, row._state.db = False, database()  # noqa: SLF001  (as Model.save does)


def announce(notification: Notification) -> None:
    accepted.send_robust(
        sender=Notification,
        notification_id=notification.pk,
        via=notification.via,
        requested_via=notification.requested_via,
        channel=notification.channel,
    )


def _with_keys(orders: Sequence[Order]) -> dict[str, Notification]:
    """What is there already of the keys of one owner's orders."""
    keys = {order.dedupe_key for order in orders if order.dedupe_key}
    if not keys:
        return {}
    owner = orders[0].fields["owner"]
    found = Notification.objects.with_dedupe_keys(owner and owner.pk, keys)
    return {notification.dedupe_key: notification for notification in found}


def _duplicate(notification: Notification) -> Notification:
    notification.is_duplicate = True
    return notification
