"""Which notifications an operator means: a filter that can be written down, and read again by a worker.

Every query here is read from an index, whatever the number of rows: by id (a UUIDv7, so that it is the order of
acceptance too), by status, by recipient.
"""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

from django.db import connections
from django.db.models import Exists, OuterRef, Q
from django.utils.timezone import localtime

from .channels import channels
from .models import Attempt, Notification, NotificationQuerySet

BY_BEGINNING = 1000  # notifications that the beginning of a recipient finds at most


@dataclass(frozen=True, slots=True)
class Selection:
    """Empty means all. `since` and `not_resent_since` are ISO 8601 times, `code` and `error` are the last attempt's."""

    ids: tuple[str, ...] = ()
    status: str = ""
    channel: str = ""
    via: str = ""
    since: str = ""
    recipient: str = ""
    code: str = ""
    error: str = ""
    not_resent: bool = False  # only what nobody has resent yet
    not_resent_since: str = ""  # or not from this time on; may have been before

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> Self:
        """Raises TypeError for what a selection does not have."""
        return cls(**{**written, "ids": tuple(written.get("ids", ()))})

    def written(self) -> dict[str, Any]:
        """JSON, without what is empty."""
        return {name: value for name, value in asdict(self).items() if value}

    def but(self, **changes: Any) -> Self:
        return replace(self, **changes)

    def narrow[Rows: NotificationQuerySet](self, rows: Rows) -> Rows:
        """Those of `rows` that are meant."""
        if self.ids:
            rows = rows.filter(pk__in=self.ids)
        fields = {name: value for name in ("status", "channel", "via") if (value := getattr(self, name))}
        rows = rows.filter(**fields)
        if self.since:
            rows = rows.filter(pk__gte=first_id(datetime.fromisoformat(self.since)))
        if self.recipient:
            rows = rows.filter(recipient__in=channels.spellings(self.recipient))
        if self.code or self.error:
            last = Attempt.objects.filter(notification=OuterRef("pk"), number=OuterRef("attempt_count"))
            rows = rows.filter(
                Exists(last.filter(code=self.code) if self.code else last.filter(error=self.error))
            )
        if self.not_resent or self.not_resent_since:
            again = Notification.objects.filter(resend_of=OuterRef("pk"))
            if not self.not_resent:
                again = again.filter(pk__gte=first_id(datetime.fromisoformat(self.not_resent_since)))
            rows = rows.filter(~Exists(again))
        return rows

    def rows(self) -> NotificationQuerySet:
        return self.narrow(Notification.objects.all())

    def __str__(self) -> str:
        """What a person is asked to confirm. Never a recipient."""
        parts = [f"{len(self.ids)} chosen"] if self.ids else []
        parts += [
            f"{name} {value}" for name in ("status", "channel", "via") if (value := getattr(self, name))
        ]
        if self.since:
            parts.append(f"accepted since {localtime(datetime.fromisoformat(self.since)):%Y-%m-%d %H:%M}")
        if self.recipient:
            parts.append("one recipient")
        if self.code or self.error:
            parts.append(f"that failed with {self.code}" if self.code else "that failed for one reason")
        if self.not_resent:
            parts.append("not resent yet")
        return ", ".join(parts) or "all"


def first_id(moment: datetime) -> uuid.UUID:
    """The lowest UUIDv7 of that millisecond (RFC 9562, 5.7)."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def beginning(rows: NotificationQuerySet, text: str) -> NotificationQuerySet:
    """Those whose recipient begins with `text`, at most BY_BEGINNING of them.

    SQLite compares bytes, so a range is the same and has an index; PostgreSQL compares by its language, but has
    the index for LIKE.
    """
    postgresql = connections[rows.db].vendor == "postgresql"
    match = (
        Q(recipient__startswith=text)
        if postgresql
        else Q(recipient__gte=text, recipient__lt=f"{text}\U0010ffff")
    )
    return rows.filter(pk__in=Notification.objects.filter(match).order_by().values("pk")[:BY_BEGINNING])
