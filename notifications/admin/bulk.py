"""What was done with many notifications, by whom, and how far it has come."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse

from .. import bulk
from ..models import BulkAction
from ..selection import Selection
from . import acting
from .readonly import ReadOnly


@admin.register(BulkAction)
class BulkActionAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["id", "kind", "chosen", "user", "total", "done", "failed", "created_at", "finished_at"]
    list_display_links = ["id", "kind"]
    list_select_related = ["user"]
    show_full_result_count = False
    sortable_by = ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("notifications.view_notification")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @admin.display(description="selection")
    def chosen(self, action: BulkAction) -> str:
        return str(Selection.read(action.selection))

    def get_urls(self) -> list[Any]:
        go_on = self.admin_site.admin_view(self.go_on_view)
        return [path("<int:pk>/go-on/", go_on, name="notifications_bulkaction_go_on"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        action = self.get_object(request, object_id)
        if action is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        still = bulk.standing_still().filter(pk=action.pk).exists()
        context = {
            "action": action,
            "selection": Selection.read(action.selection),
            "stands_still": still and acting.may(request, action.kind),
            "refresh": 0 if action.finished_at else 2,
        }
        fragment = "fragment" in request.GET
        if not fragment:
            context |= {**self.admin_site.each_context(request), "title": str(action), "opts": self.opts}
        name = "fragment" if fragment else "page"
        return TemplateResponse(request, f"admin/notifications/bulkaction/{name}.html", context)

    def go_on_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Where every worker that knew of it is gone: enqueue it again."""
        action = get_object_or_404(BulkAction, pk=pk)
        if request.method != "POST" or not acting.may(request, action.kind):
            raise PermissionDenied
        bulk.go_on(action)
        messages.success(request, "It goes on where it stood.")
        return HttpResponseRedirect(reverse("admin:notifications_bulkaction_change", args=[pk]))
