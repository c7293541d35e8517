"""What every request's serializer begins with: unknown names are refused, and absent ones cost nothing."""

from collections.abc import Iterator, KeysView, Mapping
from typing import Any

from django.utils.functional import cached_property
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.settings import api_settings

NON_FIELD = api_settings.NON_FIELD_ERRORS_KEY


class StrictSerializer(serializers.Serializer):
    """Refuses what it does not know: a misspelt name is an error here, not a surprise later."""

    _given: KeysView[str] | None = None  # the names in what is being looked at

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            if not self._names >= data.keys():
                # Its name is not repeated: who knows what it is.
                message = f"There is an unknown name. Known are: {', '.join(self.fields)}."
                raise serializers.ValidationError({NON_FIELD: [message]}, "unknown_name")
            self._given = data.keys()
        return super().to_internal_value(data)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.fields)

    @property
    def _writable_fields(self) -> Iterator[Any]:  # type: ignore[override]
        """REST framework's, without those that would only say, each for some time, that they may be left out."""
        for field in super()._writable_fields:
            has_a_say = field.required or field.default is not empty
            if has_a_say or self._given is None or field.field_name in self._given:
                yield field
