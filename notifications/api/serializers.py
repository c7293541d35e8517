"""The lobby: what comes in is a dictionary of strings, what goes out is a resource."""

from typing import Any

from django.core.validators import RegexValidator
from django.db.models import DateTimeField
from rest_framework import serializers

from .. import orders
from ..conf import notification_settings
from ..masking import masked, without_addresses
from ..models import Attempt, Notification, Status, Suppression, SuppressionReason
from .fields import (
    ChannelField,
    CursorField,
    MomentField,
    RecipientField,
    TextField,
    ViaField,
    WholeField,
    unknown_choice,
)
from .pagination import MAX_PAGE_SIZE, PAGE_SIZE
from .permissions import sees_recipient
from .strict import StrictSerializer

DEFAULT_MESSAGE = "some notification"
ADDRESSES = {"recipient", "sent_to"}  # fields that are one, of whatever kind
CATEGORY = f"^{orders.CATEGORY.pattern}$"


class SendSerializer(serializers.Serializer):
    """The body (or query) of `POST /send-notification/{email}`."""

    message = TextField(
        default=DEFAULT_MESSAGE,
        trim_whitespace=False,
        help_text=f"The text. Without it, the text is `{DEFAULT_MESSAGE}`.",
    )
    via = ViaField(required=False, help_text="Where it runs; the default is a setting.")


class NewNotificationSerializer(StrictSerializer):
    """What `services.accept` is told."""

    recipient = RecipientField(
        max_length=orders.MAX_RECIPIENT, help_text="One address, of the kind that the channel writes to."
    )
    message = TextField(trim_whitespace=False)
    subject = TextField(max_length=255, required=False, allow_blank=True)
    html = TextField(
        trim_whitespace=False,
        required=False,
        allow_blank=True,
        help_text="The message as HTML, for channels that can show it.",
    )
    category = TextField(
        validators=[RegexValidator(CATEGORY)],
        required=False,
        help_text="What the recipient can unsubscribe from. Without it, there is no way to.",
    )
    channel = ChannelField(required=False, help_text="The way out; the default is a setting.")
    via = ViaField(required=False, help_text="Where it runs; the default is a setting.")
    due_at = MomentField(required=False, help_text="Not sent before this time.")
    dedupe_key = TextField(
        max_length=255,
        trim_whitespace=False,
        required=False,
        help_text="You have one notification for each key: asked again, you get the one that is there.",
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["message"] = TextField(
            trim_whitespace=False, max_length=notification_settings().max_message_length
        )
        return fields


class ResourceSerializer(serializers.ModelSerializer):
    # What goes out, with its times as MomentField has them. (A docstring would be in the schema.)
    serializer_field_mapping = serializers.ModelSerializer.serializer_field_mapping | {
        DateTimeField: MomentField
    }


class AttemptSerializer(ResourceSerializer):
    outcome = serializers.CharField(
        allow_null=True, help_text="sent, retry, failed, unknown, cancelled or lost; null while it runs"
    )
    finished_at = MomentField(allow_null=True)

    class Meta:
        model = Attempt
        fields = [
            "number",
            "started_at",
            "finished_at",
            "outcome",
            "error",
            "code",
            "response",
            "phase",
            "duration",
            "sent_to",
        ]

    def to_representation(self, instance: Attempt) -> dict[str, Any]:
        return {**super().to_representation(instance), "outcome": instance.outcome or None}


class NotificationSummarySerializer(ResourceSerializer):
    """A notification as the list shows it to the caller of `context["request"]`: masked, or not."""

    dedupe_key = serializers.CharField(allow_null=True)

    class Meta:
        model = Notification
        fields = [
            "id",
            "status",
            "recipient",
            "subject",
            "message",
            "html",
            "category",
            "channel",
            "via",
            "created_at",
            "due_at",
            "next_attempt_at",
            "finished_at",
            "reason",
            "dedupe_key",
            "resend_of",
        ]
        read_only_fields = fields
        extra_kwargs = {
            "recipient": {
                "help_text": "Masked, as every address in the texts, for who neither owns it nor may see recipients."
            }
        }

    def to_representation(self, instance: Notification) -> dict[str, Any]:
        shown = {**super().to_representation(instance), "dedupe_key": instance.dedupe_key or None}
        return shown if sees_recipient(self.context["request"], instance) else _masked(shown)


class NotificationSerializer(NotificationSummarySerializer):
    """A notification with its attempts."""

    attempts = AttemptSerializer(source="history", many=True, read_only=True)

    class Meta(NotificationSummarySerializer.Meta):
        fields = [*NotificationSummarySerializer.Meta.fields, "attempts"]
        read_only_fields = fields


def _masked(value: Any, name: str = "") -> Any:
    """What is shown, without addresses: in every text of it, also in one that is not here yet."""
    if isinstance(value, dict):
        return {key: _masked(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    if not isinstance(value, str) or not value:
        return value
    return masked(value) if name in ADDRESSES else without_addresses(value)


class PageQuerySerializer(StrictSerializer):
    """The query of any list."""

    cursor = CursorField(required=False, help_text="From `next` of the page before.")
    page_size = serializers.IntegerField(min_value=1, max_value=MAX_PAGE_SIZE, default=PAGE_SIZE)


class ListQuerySerializer(PageQuerySerializer):
    """The query of the list of notifications."""

    status = serializers.MultipleChoiceField(
        choices=Status.choices,
        required=False,
        help_text="May be given again.",
        error_messages=unknown_choice(Status),
    )
    channel = WholeField(required=False)
    via = WholeField(required=False)
    recipient = WholeField(
        required=False,
        help_text="The whole address, as you gave it or as it is shown. "
        "Who may not see recipients finds its own only.",
    )
    created_after = MomentField(required=False)
    created_before = MomentField(required=False)


class BulkQuerySerializer(StrictSerializer):
    atomic = serializers.BooleanField(default=False, help_text="All or nothing.")


class NewSuppressionSerializer(StrictSerializer):
    """What `suppression.add` is told."""

    address = RecipientField(max_length=254, help_text="One e-mail address. Its case makes no difference.")
    category = TextField(
        validators=[RegexValidator(CATEGORY)],
        required=False,
        help_text="What is stopped. Without it, everything is, also what must arrive.",
    )
    note = TextField(max_length=255, required=False, allow_blank=True)


class SuppressionSerializer(ResourceSerializer):
    """An entry of the suppression list."""

    class Meta:
        model = Suppression
        fields = ["id", "address", "category", "reason", "note", "notification", "created_at"]
        read_only_fields = fields


class SuppressionQuerySerializer(PageQuerySerializer):
    """The query of the list of suppressions."""

    address = WholeField(
        required=False, help_text="The whole address, in any case, as you gave it or as it is shown."
    )
    category = serializers.CharField(
        required=False, allow_blank=True, help_text="Empty for what stops everything."
    )
    reason = serializers.ChoiceField(
        choices=SuppressionReason.choices, required=False, error_messages=unknown_choice(SuppressionReason)
    )
