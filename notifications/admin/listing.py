"""The list at any number of rows: its filters, its order and its pages are read from indexes, and count to a bound."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from ..channels import channels
from ..conf import via_choices
from ..figures import BOUND, Counted
from ..models import Notification, NotificationQuerySet, Status
from ..selection import Selection, beginning

# Channel and via have no index of their own (a POST would pay for it): they look through the newest only.
NEWEST = 50_000
PERIODS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
# By these the few rows of a status are read from its small index, in its order.
ORDERS = {
    Status.QUEUED: ["next_attempt_at"],
    Status.SENDING: ["lease_expires_at"],
    Status.UNKNOWN: ["created_at"],
}


def selection(request: HttpRequest) -> Selection:
    """What the list shows, without the text searched for."""
    given = request.GET
    period = PERIODS.get(given.get("since", ""))
    return Selection(
        status=given.get("status", "") if given.get("status") in Status.values else "",
        channel=given.get("channel", ""),
        via=given.get("via", ""),
        since=(timezone.now() - period).isoformat() if period else "",
    )


def search(rows: NotificationQuerySet, text: str, *, by_beginning: bool) -> NotificationQuerySet:
    """By id, by a whole recipient or, for who may see recipients, by how one begins.

    Letter by letter, a beginning tells what a masked recipient is.
    """
    found = searched(text)
    if found.ids or not by_beginning or found.rows().exists():
        return found.narrow(rows)
    return beginning(rows, found.recipient)


def searched(text: str) -> Selection:
    try:
        return Selection(ids=(str(UUID(text.strip())),))
    except ValueError:
        local, at, domain = text.strip().rpartition("@")
        return Selection(recipient=f"{local}{at}{domain.lower() if at else domain}")


class BoundedPaginator(Paginator):
    """Counts to a bound: page 200 is where a filter is the better way."""

    @cached_property
    def count(self) -> int:
        return min(self.counted.number, BOUND)

    @cached_property
    def counted(self) -> Counted:
        rows: Any = self.object_list
        return Counted(rows.order_by()[: BOUND + 1].count())


class IndexedChangeList(ChangeList):
    """In the order of an index, whatever the address asks for."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[Any]:
        return [*ORDERS.get(Status(status), []), "-pk"] if (status := selection(request).status) else ["-pk"]

    def get_ordering_field_columns(self) -> dict[int, Any]:
        return {}


class _Choice(admin.SimpleListFilter):
    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if value := self.value():
            chosen: dict[str, Any] = {str(self.parameter_name): value}
            return Selection(**chosen).narrow(queryset)
        return queryset


class StatusFilter(_Choice):
    title, parameter_name = "status", "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(Status.choices)


class _AmongNewest(_Choice):
    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        rows = super().queryset(request, queryset)
        chosen = selection(request)
        if (
            not self.value()
            or chosen.status in (Status.FAILED, Status.CANCELLED, Status.UNKNOWN)
            or chosen.since
        ):
            return rows
        border = Notification.objects.order_by("-pk").values_list("pk", flat=True)[NEWEST : NEWEST + 1]
        return rows.filter(pk__gt=border[0]) if border else rows


class ChannelFilter(_AmongNewest):
    title, parameter_name = "channel", "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(alias, alias) for alias in sorted(channels.settings)]


class ViaFilter(_AmongNewest):
    title, parameter_name = "via", "via"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(via, via) for via in via_choices()]


class SinceFilter(admin.SimpleListFilter):
    title, parameter_name = "accepted", "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, f"in the last {name}") for name in PERIODS]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return Selection(since=selection(request).since).narrow(queryset)
