"""The lobby: what comes in is a dictionary of strings, what goes out is a resource."""

from typing import Any

from rest_framework import serializers

from ..models import Attempt, Notification

DEFAULT_MESSAGE = "some notification"


class SendSerializer(serializers.Serializer):
    """The body (or query) of `POST /send-notification/{email}`."""

    message = serializers.CharField(default=DEFAULT_MESSAGE, trim_whitespace=False)
    via = serializers.CharField(required=False)


class AttemptSerializer(serializers.ModelSerializer):
    outcome = serializers.CharField(
        allow_null=True, help_text="sent, retry, failed or lost; null while it runs"
    )

    class Meta:
        model = Attempt
        fields = ["number", "started_at", "finished_at", "outcome", "error"]

    def to_representation(self, instance: Attempt) -> dict[str, Any]:
        return {**super().to_representation(instance), "outcome": instance.outcome or None}


class NotificationSerializer(serializers.ModelSerializer):
    attempts = AttemptSerializer(source="history", many=True, read_only=True)

    class Meta:
        model = Notification
        fields = [
            "id",
            "status",
            "recipient",
            "subject",
            "message",
            "channel",
            "via",
            "created_at",
            "due_at",
            "next_attempt_at",
            "finished_at",
            "attempts",
        ]
        read_only_fields = fields
