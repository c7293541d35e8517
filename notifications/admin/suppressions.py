"""The suppression list: see who is on it, add somebody, take somebody off."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from .. import suppression
from ..masking import masked
from ..models import Suppression
from .masking import sees_recipients
from .readonly import OnlyItsFilters


class SuppressionForm(ModelForm):
    class Meta:
        model = Suppression
        fields = ["address", "category", "reason", "note"]

    def clean_address(self) -> str:
        return suppression.stored(self.cleaned_data["address"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        there = Suppression.objects.filter(
            address=cleaned.get("address"), category=cleaned.get("category", "")
        )
        if there.exists():
            raise ValidationError("This address is on the list already.", code="unique")
        return cleaned


@admin.register(Suppression)
class SuppressionAdmin(OnlyItsFilters, admin.ModelAdmin):
    """What is on the list is not edited: it is taken off, and put there anew."""

    form = SuppressionForm
    list_filter = ["reason"]
    search_fields = ["address"]  # see get_search_results
    search_help_text = "A whole address"
    show_full_result_count = False
    readonly_fields = ["masked_address", "brought_by"]

    def get_list_display(self, request: HttpRequest) -> Any:
        return [self._address(request), "category", "reason", "created_at"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["address", "category", "reason", "note"]
        return [self._address(request), "category", "reason", "note", "brought_by", "created_at"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Suppression], search_term: str
    ) -> tuple[QuerySet[Suppression], bool]:
        if address := search_term.strip():
            queryset = queryset.filter(address=suppression.sought(address))
        return queryset, False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="address")
    def masked_address(self, entry: Suppression) -> str:
        return masked(entry.address)

    @admin.display(description="notification")
    def brought_by(self, entry: Suppression) -> str:
        if entry.notification is None:
            return self.get_empty_value_display()
        url = reverse("admin:notifications_notification_change", args=[entry.notification])
        return format_html('<a href="{}">{}</a>', url, entry.notification)

    def _address(self, request: HttpRequest) -> str:
        return "address" if sees_recipients(request) else "masked_address"

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        added, _ = suppression.add(
            obj.address, category=obj.category, reason=obj.reason, note=obj.note, created_by=request.user
        )
        obj.pk = added.pk

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        suppression.remove([obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        suppression.remove(queryset)
