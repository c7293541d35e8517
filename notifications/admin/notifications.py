"""Notifications with their attempts, read-only."""

from collections import Counter
from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from .. import services
from ..exceptions import InvalidStatus
from ..models import Attempt, Notification
from .readonly import ReadOnly


class AttemptInline(ReadOnly, admin.TabularInline):
    model = Attempt
    fields = [
        "number",
        "started_at",
        "finished_at",
        "outcome",
        "code",
        "phase",
        "error",
        "response",
        "sent_to",
    ]
    ordering = ["number"]


@admin.register(Notification)
class NotificationAdmin(ReadOnly, admin.ModelAdmin):
    list_display = [
        "id",
        "recipient",
        "status",
        "channel",
        "via",
        "attempt_count",
        "created_at",
        "finished_at",
    ]
    list_filter = ["status", "channel", "via", "created_at"]
    search_fields = ["=id", "recipient"]
    search_help_text = "An id, or a part of a recipient"
    inlines = [AttemptInline]
    actions = ["confirm", "send_again"]
    show_full_result_count = False  # counting all rows costs more than the page itself
    list_per_page = 50

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.resend_notification")

    @admin.action(description="Confirm that selected unknown ones arrived", permissions=["settle"])
    def confirm(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        self._settle(request, queryset, services.confirm, "confirmed")

    @admin.action(description="Send selected unknown ones again", permissions=["settle"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        self._settle(request, queryset, services.send_again, "queued again")

    def _settle(
        self,
        request: HttpRequest,
        queryset: QuerySet[Notification],
        settle: Callable[[Notification], None],
        done: str,
    ) -> None:
        """Each by itself: one that is not unknown (any more) stays as it is, and is counted."""
        counts = Counter[str]()
        for notification in queryset:
            try:
                settle(notification)
                counts[done] += 1
            except InvalidStatus:
                counts["not unknown, and left alone"] += 1
        text = ", ".join(f"{count} {what}" for what, count in counts.items())
        self.message_user(request, f"{text}.", messages.SUCCESS if counts[done] else messages.WARNING)
