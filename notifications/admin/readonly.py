"""What happened is not edited."""

from typing import Any

from django.http import HttpRequest, HttpResponse


class ReadOnly:
    """Nobody adds, changes or deletes here; who may view is the model's `view` permission."""

    opts: Any

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Called what it is: there is nothing that one would have to select."""
        title = {"title": self.opts.verbose_name_plural.capitalize()}
        view: HttpResponse = super().changelist_view(request, title | (extra_context or {}))  # type: ignore[misc]
        return view

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
