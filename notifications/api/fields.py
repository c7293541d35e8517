"""Fields that serializers share: stricter than REST framework's own, or known to the schema by their class."""

from typing import Any

from django.db.models import TextChoices
from rest_framework import ISO_8601, serializers


class ViaField(serializers.CharField):
    """What it may be is a matter of the settings; the front desk refuses the rest, and says what there is."""


class ChannelField(serializers.CharField):
    """The same, for CHANNELS."""


class CursorField(serializers.CharField):
    """A place in the list."""


def unknown_choice(choices: type[TextChoices]) -> dict[str, Any]:
    """`error_messages` that say what there is. REST framework's repeats what came, whatever that is."""
    return {"invalid_choice": f"Choose one of: {', '.join(choices.values)}."}


class TextField(serializers.CharField):
    """A string. REST framework takes a number for one, which the schema would forbid."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class MomentField(serializers.DateTimeField):
    """RFC 3339, whatever DATETIME_FORMAT a project has for its own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format=ISO_8601, input_formats=[ISO_8601], **kwargs)


class RecipientField(TextField):
    """The channel says what one is."""


class WholeField(serializers.CharField):
    """What a list is asked for, compared as it came: a blank finds nothing, as any other text that is nowhere."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)
