"""The operator's window: notifications with their attempts, read-only. What happened is not edited.

django-q2 brings the views of the queue itself (queued, successful, failed and scheduled tasks).
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from .models import Attempt, Notification, Token


class ReadOnly:
    """Nobody adds, changes or deletes here; who may view is the model's `view` permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttemptInline(ReadOnly, admin.TabularInline):
    model = Attempt
    fields = ["number", "started_at", "finished_at", "outcome", "error"]
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
    show_full_result_count = False  # counting all rows costs more than the page itself
    list_per_page = 50


@admin.register(Token)
class TokenAdmin(ReadOnly, admin.ModelAdmin):
    """Who has a key, and the way to take it back. `manage.py token` makes one: only there is it shown."""

    list_display = ["hint", "user", "created_at", "expires_at", "revoked_at"]
    list_filter = ["user"]
    actions = ["revoke"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        return super().get_queryset(request).select_related("user")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.change_token")

    @admin.action(description="Revoke selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        self.message_user(request, f"{queryset.revoke()} token(s) revoked.")
