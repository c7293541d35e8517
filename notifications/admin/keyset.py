"""Pages by keyset: a page begins behind a row and ends before another, and costs the same at any depth.

The list is in the order of a time, ascending, and of the id, descending; or of the id alone, descending.

Note [A place is where a row stood]: the row may be gone, or have another status, when somebody goes on from it. So a
place holds what the row was ordered by, and not the row. The time is as the database writes it: what Python makes of
SQLite's text does not compare equal to it.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.db import connections
from django.db.models import CharField, DateTimeField, Q, QuerySet, Value
from django.db.models.functions import Cast

# As both databases write one; `fromisoformat` says whether there is such a time, and would take other forms.
TIME = re.compile(r"[0-9-]{10} [0-9:]{8}(\.[0-9]{1,6})?([+-](0[0-9]|1[0-5])(:[0-5][0-9])?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    id: UUID
    at: str = ""  # the time; none where the order is the id's alone

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError for what is none."""
        id, _, at = text.partition("~")
        if at:
            if not TIME.fullmatch(at):
                raise ValueError("This is no place of the list.")
            datetime.fromisoformat(at)
        return cls(UUID(id), at)

    def __str__(self) -> str:
        return f"{self.id}~{self.at}" if self.at else str(self.id)


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Any]
    before: Place | None = None  # where the page before it ends; none: this is the first one
    after: Place | None = None  # where the next one begins; none: this is the last one


def page(rows: QuerySet, moment: str, size: int, *, after: str = "", before: str = "") -> Page:
    """Of rows ordered by `moment` ("" for none): the `size` behind one place, or up to another one.

    Raises ValueError for a place that is none, or of another order.
    """
    if moment:
        rows = rows.annotate(ordered_at=Cast(moment, CharField()))
    if before:
        found = list(_beyond(rows.reverse(), moment, Place.read(before), "lt", "gt")[: size + 1])
        if len(found) > size:
            found = found[size - 1 :: -1]
            return Page(found, _place(found[0]), _place(found[-1]))
        after = ""  # less than a page is before it: the first page has these, and is a whole one
    if after:
        rows = _beyond(rows, moment, Place.read(after), "gt", "lt")
    found = list(rows[: size + 1])
    more, found = len(found) > size, found[:size]
    first = _place(found[0]) if after and found else None
    return Page(found, first, _place(found[-1]) if more else None)


def _beyond(rows: QuerySet, moment: str, place: Place, later: str, lower: str) -> QuerySet:
    beyond = Q(**{f"pk__{lower}": place.id})
    if bool(moment) != bool(place.at):
        raise ValueError("This is a place of another order.")
    if not moment:
        return rows.filter(beyond)
    at: Any = Value(place.at)
    if connections[rows.db].vendor == "postgresql":
        at = Cast(at, DateTimeField())
    # The last condition is the index's own; the first ones say which of the same moment.
    return rows.filter(
        Q(**{f"{moment}__{later}": at}) | (beyond & Q(**{moment: at})), **{f"{moment}__{later}e": at}
    )


def _place(row: Any) -> Place:
    return Place(row.pk, getattr(row, "ordered_at", ""))
