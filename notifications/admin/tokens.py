"""Who has a key, and the way to take it back."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ..models import Token
from .readonly import ReadOnly


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
