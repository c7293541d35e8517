"""The clerk: looks at what is asked for, and writes what was accepted. Called by the front desk, in its transaction."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import batched
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, Task, TaskResult, task_backends

from . import limits, statements, tasks, tracing
from .backends.enqueueing import enqueue_many, enqueue_with_row
from .backends.fallback import taker_of
from .channels import channels
from .clock import database_now
from .conf import QUEUE, backend_alias, notification_settings, via_choices, via_of
from .exceptions import RecipientLimitReached
from .models import Notification, database, new_id
from .request_id import request_id
from .signals import accepted

ENTRY = 100  # notifications of a batch that share an entry of the queue
MAX_RECIPIENT = 2048  # bytes: what an entry of PostgreSQL's index can hold, with room to spare
HTML = 10  # times as long as the text may be its HTML
CATEGORY = re.compile(r"[a-z0-9][a-z0-9._-]{0,49}")

Refusal = ValidationError | RecipientLimitReached


@dataclass(frozen=True, slots=True)
class Order:
    """What may be written: the row's fields, checked, and the task that will deliver it."""

    task: Task
    fields: dict[str, Any]
    requested_via: str = ""  # where another one takes it
    id: UUID = field(default_factory=new_id)

    @property
    def dedupe_key(self) -> str:
        key: str = self.fields["dedupe_key"]
        return key

    def row(self, task_id: str) -> Notification:
        row = Notification(id=self.id, task_id=task_id, **self.fields)
        row.requested_via = self.requested_via
        return row


def order(
    *,
    recipient: str,
    message: str,
    subject: str = "",
    html: str = "",
    category: str = "",
    channel: str | None = None,
    via: str | None = None,
    due_at: datetime | None = None,
    dedupe_key: str = "",
    owner: Any = None,
    now: Callable[[], datetime] | None = None,
) -> Order:
    """Raises ValidationError with everything that is wrong, by field. `now` is how to ask the database for its time."""
    settings = notification_settings()
    fields = _clean(
        recipient=recipient,
        subject=subject,
        message=message,
        html=html,
        category=category,
        channel=channel or settings.channel,
        via=QUEUE if via == DEFAULT_TASK_BACKEND_ALIAS else via or settings.via,
        dedupe_key=dedupe_key,
    )
    fields |= {"owner": owner, "request_id": request_id.get(), "due_at": None}
    task = tasks.lane(fields["channel"])
    alias = backend_alias(requested := fields["via"])
    if due_at is not None and due_at > (now or _now)():
        task = task.using(run_after=due_at, backend=alias if task_backends[alias].supports_defer else None)
        fields["due_at"] = due_at
        return Order(task, fields)
    alias = taker_of(alias)
    fields["via"] = via_of(alias)
    if fields["via"] != QUEUE:
        task = task.using(
            backend=alias, priority=task.priority if task_backends[alias].supports_priority else 0
        )
    return Order(task, fields, "" if fields["via"] == requested else requested)


def orders(items: Iterable[Mapping[str, Any]], *, owner: Any) -> list[Order | Refusal]:
    """What becomes of each item, in order. They share one look at the clock."""
    now = cache(_now)
    found: list[Order | Refusal] = []
    for item in items:
        try:
            found.append(order(**item, owner=owner, now=now))
        except ValidationError as error:
            found.append(error)
    return found


def _now() -> datetime:
    return database_now(database())


def write(order: Order, enqueue: Callable[..., TaskResult] | None) -> Notification:
    """Row and entry, or the notification that has this key already."""
    if order.dedupe_key and (there := _with_keys([order])):
        return _duplicate(there[order.dedupe_key])
    limits.count(order.fields["recipient"])
    task_id = enqueue_with_row(order.task, [tracing.carried(str(order.id))], enqueue=enqueue)
    notification = order.row(task_id)
    _store([notification])
    _announce(notification)
    return notification


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
    results |= dict(zip(new, _insert(list(new.values()), enqueue), strict=True))
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


def _insert(orders: Sequence[Order], enqueue: Callable[..., TaskResult] | None) -> list[Notification]:
    by_task: dict[Task, list[Order]] = {}
    for order in orders:
        by_task.setdefault(order.task, []).append(order)
    task_ids: dict[UUID, str] = {}
    for alias in {task.backend for task in by_task}:
        groups = {task: group for task, group in by_task.items() if task.backend == alias}
        if hasattr(task_backends[alias], "enqueue_many"):
            entries = [(task, part) for task, group in groups.items() for part in batched(group, ENTRY)]
            ids = enqueue_many(
                (task, [[tracing.carried(str(order.id)) for order in part]]) for task, part in entries
            )
            for (_, part), task_id in zip(entries, ids, strict=True):
                task_ids |= dict.fromkeys((order.id for order in part), task_id)
        else:  # not one task each: such a backend may run them on threads of this process
            for task, group in groups.items():
                enqueue_with_row(task, [tracing.carried(str(order.id)) for order in group], enqueue=enqueue)
    rows = [order.row(task_ids.get(order.id, "")) for order in orders]
    if rows:
        _store(rows)
    for row in rows:
        _announce(row)
    return rows


def _store(rows: Sequence[Notification]) -> None:
    """Write new rows. What the database fills in is filled in on the objects too, without another look."""
    created_at = statements.insert(rows, database())
    for row in rows:
        row.created_at = created_at
        row.due_at = row.next_attempt_at = row.due_at or created_at
        row._state.adding, row._state.db = False, database()  # noqa: SLF001  (as Model.save does)


def _announce(notification: Notification) -> None:
    accepted.send(
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


def _clean(**fields: Any) -> dict[str, Any]:
    """The fields as they are stored. Raises ValidationError with everything that is wrong, by field."""
    errors: dict[str, ValidationError] = {}
    if fields["via"] not in via_choices():
        errors["via"] = _unknown("via", via_choices())
    limit = notification_settings().max_message_length
    for name in ("subject", "message", "html", "dedupe_key"):
        if "\0" in fields[name]:
            errors[name] = ValidationError("Null characters are not allowed.", code="null_characters")
    if len(fields["message"]) > limit:
        errors["message"] = ValidationError(f"A message has at most {limit} characters.", code="max_length")
    if len(fields["subject"]) > 255 or "\n" in fields["subject"] or "\r" in fields["subject"]:
        errors["subject"] = ValidationError(
            "A subject is one line of at most 255 characters.", code="invalid"
        )
    if len(fields["html"]) > HTML * limit:
        errors["html"] = ValidationError(
            f"The HTML has at most {HTML * limit} characters.", code="max_length"
        )
    if fields["category"] and not CATEGORY.fullmatch(fields["category"]):
        errors["category"] = ValidationError(
            "A category is a name of at most 50 lower-case letters, digits, dots, dashes and underscores.",
            code="invalid",
        )
    if len(fields["dedupe_key"]) > 255:
        errors["dedupe_key"] = ValidationError("A key has at most 255 characters.", code="max_length")
    if fields["channel"] not in channels.settings:
        errors["channel"] = _unknown("channel", sorted(channels.settings))
    else:
        try:
            fields["recipient"] = channels[fields["channel"]].clean_recipient(fields["recipient"])
        except ValidationError as error:
            errors["recipient"] = error
    if len(fields["recipient"].encode(errors="surrogatepass")) > MAX_RECIPIENT:
        errors["recipient"] = ValidationError(
            f"A recipient has at most {MAX_RECIPIENT} bytes.", code="max_length"
        )
    if errors:
        raise ValidationError(errors)
    return fields


def _unknown(name: str, choices: list[str]) -> ValidationError:
    return ValidationError(f"Unknown {name}. Choose one of: {', '.join(choices)}.", code="unknown")
