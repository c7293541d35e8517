"""The overview: one look tells whether all is well. It refreshes itself by fetching its own fragment."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from .. import overview
from ..masking import without_addresses
from ..models import Kind, Overview
from . import acting, charts
from .readonly import ReadOnly

REFRESH = 5  # seconds


@admin.register(Overview)
class OverviewAdmin(ReadOnly, admin.ModelAdmin):
    """At /admin/notifications/overview/; there is nothing behind it."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.view_notification")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = overview.snapshot()
        fragment = "fragment" in request.GET
        context = {
            "now": now,
            "light": now.light,
            "chart": charts.minutes(now.minutes),
            "times": now.percentiles and charts.percentiles(now.percentiles),
            "reasons": [(reason, without_addresses(reason.error)) for reason in now.reasons],
            "may_resend": acting.may(request, Kind.RESEND),
            "refresh": REFRESH,
        }
        if not fragment:
            context |= {**self.admin_site.each_context(request), "title": "Overview", "opts": self.opts}
        name = "fragment" if fragment else "page"
        return TemplateResponse(request, f"admin/notifications/overview/{name}.html", context)
