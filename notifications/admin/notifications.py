"""Notifications with their attempts, read-only."""

from django.contrib import admin

from ..models import Attempt, Notification
from .readonly import ReadOnly


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
