"""What happened is not edited."""

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """Nobody adds, changes or deletes here; who may view is the model's `view` permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
