"""What the schema says of each call. The views wear these; what a field is, the serializers say themselves."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework import serializers

from ..channels import channels
from ..conf import via_choices
from .permissions import HasRight
from .serializers import (
    BulkQuerySerializer,
    ListQuerySerializer,
    NewNotificationSerializer,
    NotificationSerializer,
    NotificationSummarySerializer,
    SendSerializer,
)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "From `manage.py token NAME --can send,read`.",
        }


class ViaExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.serializers.ViaField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "string", "enum": via_choices()}


class ChannelExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.serializers.ChannelField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "string", "enum": sorted(channels.settings)}


class CursorExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.serializers.CursorField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"}


class RecipientExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "notifications.api.serializers.RecipientField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "string", "format": "recipient", "minLength": 1, "maxLength": 2048}


def as_it_is(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Postprocessing: what drf-spectacular cannot know of our addresses, bodies and serializers."""
    # The slash that an address may end with is not part of it.
    result["paths"] = {path.rstrip("/"): operations for path, operations in result["paths"].items()}
    bulk = result["paths"].get("/api/v1/notifications/bulk")
    if bulk is None:
        return result  # somebody else's addresses
    bulk["post"]["requestBody"]["required"] = True
    # A StrictSerializer refuses what it does not know.
    new = result["components"]["schemas"]["NewNotificationRequest"]
    new["additionalProperties"] = False
    new["properties"]["subject"]["pattern"] = r"^[^\r\n]*$"  # the front desk's rule, not the serializer's
    return result


class FieldErrorSerializer(serializers.Serializer):
    pointer = serializers.CharField(required=False, help_text="RFC 6901, into the body.")
    parameter = serializers.CharField(required=False, help_text="Of the query or the headers.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]


class SentSerializer(serializers.Serializer):
    message = serializers.CharField()


class PageSerializer(serializers.Serializer):
    next = serializers.CharField(allow_null=True, help_text="The URL of the next page.")
    results = NotificationSummarySerializer(many=True)


class ResultSerializer(serializers.Serializer):
    code = serializers.IntegerField(help_text="What the answer would have been to this one alone.")
    id = serializers.UUIDField(required=False)
    location = serializers.CharField(required=False)
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]


class ResultsSerializer(serializers.Serializer):
    results = ResultSerializer(many=True)


REASONS = {
    400: "Something in the request is wrong; `errors` says what.",
    401: "Credentials are missing, or not valid.",
    403: "The caller lacks the right.",
    404: "There is none, or the caller may not know of it.",
    409: "Its status does not allow it; or the first request with this key is still being answered.",
    411: "A body needs a Content-Length.",
    413: "The body, or the list in it, is too large.",
    415: "The body is of a type that is not known here.",
    422: "The Idempotency-Key came with another request before.",
    429: "Too often; `Retry-After` says when to come back.",
}


def _problems(*codes: int) -> dict[Any, Any]:
    return {
        (code, "application/problem+json"): OpenApiResponse(ProblemSerializer, REASONS[code])
        for code in (401, 403, 411, 413, 429, *codes)
    }


def _header(name: str, codes: list[int], description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, response=codes, description=description)


IDEMPOTENCY = [
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!-~]([ -~]*[!-~])?$"},
        OpenApiParameter.HEADER,
        description="For 24 hours the same request with the same key gets the stored answer, and has no second effect.",
    ),
    OpenApiParameter(
        "Idempotent-Replayed", str, OpenApiParameter.HEADER, response=[200, 202], description="`true` if so."
    ),
]
WAIT = OpenApiParameter(
    "Prefer",
    {"type": "string", "examples": ["wait=5"]},
    OpenApiParameter.HEADER,
    description="`wait=N`: answer when it has ended, or after N seconds (RFC 7240).",
)
LOCATION = _header("Location", [200, 202], "Where to look what became of it.")
RETRY_AFTER = _header("Retry-After", [409, 429], "Seconds.")


def _via() -> OpenApiParameter:
    return OpenApiParameter(
        "via",
        {"type": "string", "enum": via_choices()},
        description="Where it runs; the default is a setting.",
    )


send = extend_schema(
    operation_id="send",
    tags=["send"],
    summary="Respond first, work after",
    description="The text and `via` may come in a JSON body, in a form or in the query; the body wins.",
    parameters=[
        OpenApiParameter(
            "email", {"type": "string", "format": "email", "maxLength": 254}, OpenApiParameter.PATH
        ),
        OpenApiParameter("message", {"type": "string", "minLength": 1}),
        _via(),
        *IDEMPOTENCY,
        _header("Location", [200], "Where to look what became of it."),
        RETRY_AFTER,
    ],
    request={"application/json": SendSerializer},
    responses={200: SentSerializer} | _problems(400, 409, 415, 422),
)
list_notifications = extend_schema(
    operation_id="list",
    tags=["notifications"],
    summary="All you may know of, newest first",
    parameters=[ListQuerySerializer],
    responses={200: PageSerializer} | _problems(400, 404),
)
create = extend_schema(
    operation_id="create",
    tags=["notifications"],
    summary="Accept one",
    description="200 if it has ended within `Prefer: wait`, or for a `dedupe_key` that there is already.",
    parameters=[*IDEMPOTENCY, WAIT, LOCATION, RETRY_AFTER],
    request=NewNotificationSerializer,
    responses={200: NotificationSerializer, 202: NotificationSerializer} | _problems(400, 409, 415, 422),
)
bulk = extend_schema(
    operation_id="createMany",
    tags=["notifications"],
    summary="Accept many, with one result for each",
    description="A JSON list, or one JSON object a line. Each item is checked by itself, so any item is a request.",
    parameters=[BulkQuerySerializer, *IDEMPOTENCY, RETRY_AFTER],
    request={
        "application/json": OpenApiRequest({"type": "array", "items": {}}),
        "application/x-ndjson": OpenApiTypes.STR,
    },
    responses={202: ResultsSerializer} | _problems(400, 409, 415, 422),
)
detail = extend_schema(
    operation_id="retrieve",
    tags=["notifications"],
    summary="What became of it",
    parameters=[
        WAIT,
        OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="An ETag of before."),
        _header("ETag", [200, 304], "Changes when the notification does."),
        _header("Retry-After", [200, 304, 429], "Seconds until it is worth asking again."),
    ],
    responses={200: NotificationSerializer, 304: None} | _problems(404),
)
cancel = extend_schema(
    operation_id="cancel",
    tags=["notifications"],
    summary="Cancel what no worker has claimed yet",
    request=None,
    parameters=[RETRY_AFTER],
    responses={200: NotificationSerializer} | _problems(404, 409),
)
resend = extend_schema(
    operation_id="resend",
    tags=["notifications"],
    summary="Send the same once more",
    request=None,
    parameters=[*IDEMPOTENCY, _header("Location", [202], "The new one."), RETRY_AFTER],
    responses={202: NotificationSerializer} | _problems(400, 404, 409, 422),
)
confirm = extend_schema(
    operation_id="confirm",
    tags=["notifications"],
    summary="Say of an unknown one that it arrived",
    request=None,
    parameters=[RETRY_AFTER],
    responses={200: NotificationSerializer} | _problems(404, 409),
)
send_again = extend_schema(
    operation_id="sendAgain",
    tags=["notifications"],
    summary="Try an unknown one once more",
    description="The same notification, its next attempt: nothing new is made.",
    request=None,
    parameters=[RETRY_AFTER],
    responses={202: NotificationSerializer} | _problems(404, 409),
)


class Schema(SpectacularJSONAPIView):
    permission_classes = [HasRight]


class Documentation(SpectacularSwaggerSplitView):
    """The schema as a page, from files that are installed here."""

    permission_classes = [HasRight]
    url_name = "schema"
