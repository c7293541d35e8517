"""What happened is not edited, and a list is narrowed by what it offers."""

from typing import Any

from django.http import HttpRequest, HttpResponse


class OnlyItsFilters:
    """A list is narrowed by the filters it shows, and by nothing else that stands in an address.

    Django lets everybody who sees a list filter it by every field of the model: letter by letter, that tells what a
    masked recipient is; and "all that match" is what the list's own filters match.
    """

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """What is not is a 400, and so is a NUL: PostgreSQL has no text with one."""
        names = {getattr(offered, "parameter_name", offered) for offered in self.get_list_filter(request)}  # type: ignore[attr-defined]
        allowed: bool = super().lookup_allowed(lookup, value, request)  # type: ignore[misc]
        return allowed and lookup.partition("__")[0] in names and "\0" not in str(value)


class ReadOnly(OnlyItsFilters):
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
