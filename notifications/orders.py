"""The form: what is asked for, looked at and made into an order that may be written."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, Task, task_backends

from . import tasks, tracing
from .backends.fallback import taker_of
from .channels import channels
from .clock import database_now
from .conf import QUEUE, backend_alias, notification_settings, via_choices, via_of
from .exceptions import RecipientLimitReached
from .models import Notification, database, new_id
from .request_id import request_id

MAX_RECIPIENT = 2048  # bytes: what an entry of PostgreSQL's index can hold, with room to spare
HTML = 10  # times as long as the text may be its HTML
CATEGORY = re.compile(r"[a-z0-9][a-z0-9._-]{0,49}")

Refusal = ValidationError | RecipientLimitReached


@dataclass(slots=True)
class Order:
    """What may be written: the row's fields, checked, and the task that will deliver it."""

    task: Task
    fields: dict[str, Any]
    requested_via: str = ""  # where another one takes it
    id: UUID = field(default_factory=new_id)
    carried: str = ""  # what the task is given, once that is decided

    @property
    def dedupe_key(self) -> str:
        key: str = self.fields["dedupe_key"]
        return key

    @property
    def argument(self) -> str:
        """What the task is given: the id, and the trace that goes on with it."""
        return self.carried or tracing.carried(str(self.id))

    def bind(self) -> None:
        """Keep the trace of now, whichever thread writes it."""
        self.carried = self.argument

    def row(self, task_id: str) -> Notification:
        """Field by field in their order, as Django makes what it has read: by name takes three times as long."""
        owner = self.fields["owner"]
        given = self.fields | {"id": self.id, "task_id": task_id, "owner_id": owner and owner.pk}
        values: Any = [given.get(name, default) for name, default in _defaults().items()]
        row = Notification(*values)
        if owner is not None:
            row.owner = owner
        row.requested_via = self.requested_via
        return row


def make(
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
        task = _on(task, alias, ranked=task_backends[alias].supports_priority)
    return Order(task, fields, "" if fields["via"] == requested else requested)


def make_many(items: Iterable[Mapping[str, Any]], *, owner: Any) -> list[Order | Refusal]:
    """What becomes of each item, in order. They share one look at the clock."""
    now = cache(_now)
    found: list[Order | Refusal] = []
    for item in items:
        try:
            found.append(make(**item, owner=owner, now=now))
        except ValidationError as error:
            found.append(error)
    return found


@cache
def _on(task: Task, alias: str, *, ranked: bool) -> Task:
    """Made once: Django looks a task over whenever one is made, and there are as many as channels and backends."""
    return task.using(backend=alias, priority=task.priority if ranked else 0)


@cache
def _defaults() -> dict[str, Any]:
    """What a field has that an order does not name. The database's own are filled in when it has written the row."""
    fields = Notification._meta.concrete_fields  # noqa: SLF001  (a documented API of Django)
    return {field.attname: None if field.primary_key else field.get_default() for field in fields}


def _now() -> datetime:
    return database_now(database())


def _clean(**fields: Any) -> dict[str, Any]:
    """The fields as they are stored. Raises ValidationError with everything that is wrong, by field."""
    errors: dict[str, ValidationError] = {}
    if fields["via"] not in via_choices():
        errors["via"] = _unknown("via", via_choices())
    limit = notification_settings().max_message_length
    for name in ("subject", "message", "html", "dedupe_key"):
        if "\0" in fields[name]:
            errors[name] = ValidationError("Null characters are not allowed.", code="null_characters")
    if not fields["message"]:
        errors["message"] = ValidationError("A message may not be empty.", code="blank")
    if len(fields["message"]) > limit:
        errors["message"] = ValidationError(f"A message has at most {limit} characters.", code="max_length")
    # All that Python takes for the end of a line: it writes no such header.
    if len(fields["subject"]) > 255 or fields["subject"].splitlines() not in ([], [fields["subject"]]):
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
