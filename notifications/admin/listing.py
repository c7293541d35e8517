"""The list at any number of rows: its filters, its order and its pages are read from indexes, and count to a bound."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from ..channels import channels
from ..conf import via_choices
from ..figures import BOUND, Counted
from ..models import Notification, NotificationQuerySet, Status
from ..selection import Selection, beginning
from . import keyset

# Channel and via have no index of their own (a POST would pay for it): they look through the newest only.
NEWEST = 50_000
PERIODS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
# By these the few rows of a status are read from its small index, in its order.
ORDERS = {
    Status.QUEUED: "next_attempt_at",
    Status.SENDING: "lease_expires_at",
    Status.UNKNOWN: "created_at",
}
AFTER, BEFORE = "after", "before"  # of the address: where a page begins, or ends


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
    local, at, domain = found.recipient.rpartition("@")
    return beginning(rows, f"{local}{at}{domain.lower() if at else domain}")


def searched(text: str) -> Selection:
    try:
        return Selection(ids=(str(UUID(text.strip())),))
    except ValueError:
        return Selection(recipient=text.strip())


class IndexedChangeList(ChangeList):
    """In the order of an index, whatever the address asks for, and in pages that begin behind a row.

    The count ends at a bound; the pages do not.
    """

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet:
        if any("\0" in value for value in self.params.values()):  # PostgreSQL has no text with one
            raise IncorrectLookupParameters
        for name in (AFTER, BEFORE):  # a place in the list is no filter of it
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[Any]:
        return [*filter(None, [_moment(request)]), "-pk"]

    def get_ordering_field_columns(self) -> dict[int, Any]:
        return {}

    def get_results(self, request: HttpRequest) -> None:
        after, before = request.GET.get(AFTER, ""), request.GET.get(BEFORE, "")
        try:
            page = keyset.page(
                self.queryset, _moment(request), self.list_per_page, after=after, before=before
            )
        except ValueError as error:
            raise IncorrectLookupParameters from error
        self.counted = Counted(self.queryset.order_by()[: BOUND + 1].count())
        self.pages = list(self._pages(page, in_the_middle=bool(after or before)))
        # "All that match" is written down as a Selection, which knows a whole recipient and no beginning of one.
        self.all_can_be_meant = not self.query or searched(self.query).rows().exists()
        self.result_list = page.rows
        self.result_count = min(self.counted.number, BOUND)
        self.show_full_result_count, self.full_result_count = False, None
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False  # Django's own pages are numbered

    def _pages(self, page: keyset.Page, *, in_the_middle: bool) -> Iterator[tuple[str, str, str]]:
        """What leads to the other pages: a word, the relation (HTML, rel), the address."""
        if page.before or (in_the_middle and not page.rows):
            yield "First", "first", self.get_query_string()
        if page.before:
            yield "Previous", "prev", self.get_query_string({BEFORE: str(page.before)})
        if page.after:
            yield "Next", "next", self.get_query_string({AFTER: str(page.after)})


def _moment(request: HttpRequest) -> str:
    """By which the list is ordered before the id; "" for none."""
    status = selection(request).status
    return ORDERS.get(Status(status), "") if status else ""


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
