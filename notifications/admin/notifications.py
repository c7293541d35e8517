"""Notifications: a list that is fast at any size, and a page for each with its way and what may be done."""

import logging
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import CHANGE
from django.contrib.admin.options import Action, ActionLocation
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.formats import date_format

from ..masking import masked, without_addresses
from ..models import Notification
from . import acting, listing, queue
from .masking import sees_recipients
from .readonly import ReadOnly
from .timeline import timeline

logger = logging.getLogger("notifications.admin")


@admin.register(Notification)
class NotificationAdmin(ReadOnly, admin.ModelAdmin):
    """Recipients are masked for who may not see them, on every page and in every text."""

    list_display = [
        "short_id",
        "status",
        "to",
        "accepted_at",
        "channel",
        "via",
        "attempts_begun",
        "settled_at",
    ]
    list_filter = [listing.StatusFilter, listing.SinceFilter, listing.ChannelFilter, listing.ViaFilter]
    search_fields = ["id", "recipient"]  # see get_search_results
    search_help_text = "An id, a whole recipient or, if you may see recipients, the beginning of one"
    sortable_by = ()
    show_full_result_count = False  # counting all rows costs more than the page itself
    show_facets = admin.ShowFacets.NEVER  # so does counting for each filter
    list_max_show_all = 0
    list_per_page = 50
    fields = [
        "to",
        ("status", "channel", "via"),
        "subject_shown",
        "message_shown",
        ("created_at", "due_at", "finished_at"),
        ("category", "owner", "dedupe_key_shown"),
        ("resend_of", "request_id", "task_id"),
    ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[listing.IndexedChangeList]:
        return listing.IndexedChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        # On each row, because what a column shows depends on who looks.
        rows: QuerySet[Notification] = super().get_queryset(request)
        return rows.annotate(unmasked=Value(sees_recipients(request)))

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[QuerySet[Notification], bool]:
        if not search_term.strip():
            return queryset, False
        return listing.search(queryset, search_term, by_beginning=sees_recipients(request)), False

    @admin.display(description="id")
    def short_id(self, notification: Any) -> str:
        return f"…{str(notification.pk)[-8:]}"

    @admin.display(description="attempts")
    def attempts_begun(self, notification: Any) -> int:
        begun: int = notification.attempt_count
        return begun

    @admin.display(description="accepted")
    def accepted_at(self, notification: Any) -> str:
        return _time(notification.created_at)

    @admin.display(description="finished", empty_value="")
    def settled_at(self, notification: Any) -> str:
        return _time(notification.finished_at)

    @admin.display(description="recipient")
    def to(self, notification: Any) -> str:
        return notification.recipient if notification.unmasked else masked(notification.recipient)

    @admin.display(description="subject")
    def subject_shown(self, notification: Any) -> str:
        return _text(notification, notification.subject) or self.get_empty_value_display()

    @admin.display(description="message")
    def message_shown(self, notification: Any) -> str:
        return _text(notification, notification.message)

    @admin.display(description="dedupe key")
    def dedupe_key_shown(self, notification: Any) -> str:
        return _text(notification, notification.dedupe_key) or self.get_empty_value_display()

    def get_actions(
        self, request: HttpRequest, action_location: ActionLocation = ActionLocation.CHANGE_LIST
    ) -> dict[str, Any]:
        """For the list; a notification's own page has buttons for what its status allows."""
        if action_location is not ActionLocation.CHANGE_LIST:
            return {}
        return {
            act.kind: Action(
                func=partial(_ask, act.kind),
                name=act.kind,
                description=f"{act.label} notification",
                plural_description=f"{act.label} selected notifications",
                locations=[action_location],
            )
            for act in acting.ACTS.values()
            if acting.may(request, act.kind)
        }

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("act/", view(self.act_view), name="notifications_notification_act"),
            path("<uuid:pk>/reveal/", view(self.reveal_view), name="notifications_notification_reveal"),
            *super().get_urls(),
        ]

    def act_view(self, request: HttpRequest) -> HttpResponse:
        return acting.act_view(request, self.admin_site)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        notification = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if notification is not None and self.has_view_permission(request, notification):
            context |= {
                "timeline": timeline(notification, unmasked=sees_recipients(request)),
                "acts": acting.allowed(request, notification),
                "in_queue": list(queue.links(request, notification)),
                "may_reveal": not sees_recipients(request) and _may_reveal(request),
            }
        return super().change_view(request, object_id, form_url, context)

    def reveal_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show one recipient to who may ask for it, and write down that they did."""
        if request.method != "POST" or not _may_reveal(request):
            raise PermissionDenied
        notification = get_object_or_404(Notification, pk=pk)
        acting.log(request, notification, CHANGE, "Revealed the recipient.")
        logger.info("notification=%s event=revealed user=%s", pk, request.user.pk)
        return TemplateResponse(
            request,
            "admin/notifications/notification/reveal.html",
            {
                **self.admin_site.each_context(request),
                "title": "Recipient",
                "notification": notification,
                "opts": self.opts,
            },
        )


def _may_reveal(request: HttpRequest) -> bool:
    return request.user.has_perms(["notifications.view_notification", "notifications.reveal_recipient"])


def _time(moment: Any) -> str:
    return date_format(timezone.localtime(moment), "Y-m-d H:i:s") if moment else ""


def _text(notification: Any, text: str) -> str:
    return text if notification.unmasked else without_addresses(text)


def _ask(kind: str, model_admin: NotificationAdmin, request: HttpRequest, queryset: Any) -> HttpResponse:
    return acting.question(request, kind, acting.chosen_in_list(request, kind), model_admin.admin_site)
