"""Pages by keyset: a page begins behind the last row of the one before, and costs the same at any depth."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model, Q, QuerySet, Subquery
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request

PAGE_SIZE, MAX_PAGE_SIZE = 20, 100


@dataclass(frozen=True, slots=True)
class Page[Row: Model]:
    rows: list[Row]
    next: str | None  # the URL of the next page


def page[Row: Model](rows: QuerySet[Row], request: Request, query: dict[str, Any]) -> Page[Row]:
    """Of rows with `created_at`: the page that `query` (`cursor`, `page_size`) asks for, newest first.

    Raises ValidationError for a cursor that is not ours, NotFound where its row is gone.
    """
    size = query["page_size"]
    if query.get("cursor"):
        last = _read(query["cursor"])
        # The time is compared where it is stored: SQLite keeps it as text, and what Python makes of that
        # text does not compare equal to it.
        anchor = rows.model._default_manager.filter(pk=last)  # noqa: SLF001 (Django's documented name)
        if not anchor.exists():
            raise NotFound("The row this cursor stands on is gone. Begin again.")
        created_at = Subquery(anchor.values("created_at")[:1])
        rows = rows.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=last)).filter(
            created_at__lte=created_at  # the index's own condition; the one above is not
        )
    found = list(rows.order_by("-created_at", "-id")[: size + 1])
    if len(found) <= size:
        return Page(found, None)
    found.pop()
    parameters = [(name, value) for name, value in _pairs(request) if name != "cursor"]
    address = request.build_absolute_uri(request.path)
    return Page(found, f"{address}?{urlencode([*parameters, ('cursor', _write(found[-1].pk))])}")


def _pairs(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, values in request.query_params.lists() for value in values]


def _write(id: UUID) -> str:
    return base64.urlsafe_b64encode(id.bytes).decode().rstrip("=")


def _read(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.b64decode(f"{cursor}==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValidationError({"cursor": "This is not a cursor of this list."}, "invalid") from error
