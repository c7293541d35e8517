"""What the schema says of each call, under the name that its handler wears. Fields: see `serializers`."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema
from rest_framework import serializers

from ..conf import via_choices
from .serializers import (
    BulkQuerySerializer,
    ListQuerySerializer,
    NewNotificationSerializer,
    NewSuppressionSerializer,
    NotificationSerializer,
    NotificationSummarySerializer,
    SendSerializer,
    SuppressionQuerySerializer,
    SuppressionSerializer,
)


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


class SuppressionPageSerializer(serializers.Serializer):
    next = serializers.CharField(allow_null=True, help_text="The URL of the next page.")
    results = SuppressionSerializer(many=True)


class ResultSerializer(serializers.Serializer):
    code = serializers.IntegerField(help_text="What the answer would have been to this one alone.")
    id = serializers.UUIDField(required=False)
    location = serializers.CharField(required=False)
    via = serializers.CharField(required=False, help_text="Who took it, if not who was asked for.")
    requested_via = serializers.CharField(required=False, help_text="Who was asked for, and is down.")
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]


class ResultsSerializer(serializers.Serializer):
    results = ResultSerializer(many=True)


REASONS = {
    400: "Something in the request is wrong; `errors` says what.",
    401: "Credentials are missing, or not valid.",
    403: "The caller lacks the right.",
    404: "There is none, or the caller may not know of it.",
    408: "The body did not arrive in time.",
    409: "Its status does not allow it; or the first request with this key is still being answered.",
    411: "A body needs a Content-Length.",
    412: "It is not as If-Match says; a weak ETag never is.",
    413: "The body, or the list in it, is too large.",
    415: "The body is of a type that is not known here.",
    422: "The Idempotency-Key came with another request before.",
    429: "Too often; `Retry-After` says when to come back.",
    503: "The database cannot be used at the moment.",
}


def _problems(*codes: int) -> dict[Any, Any]:
    return {
        (code, "application/problem+json"): OpenApiResponse(ProblemSerializer, REASONS[code])
        for code in (401, 403, 408, 411, 413, 429, 503, *codes)
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
RETRY_AFTER = _header("Retry-After", [409, 429, 503], "Seconds.")
TAKEN = [
    _header("Notification-Via", [200, 202], "Who took it: what was asked for, or its fallback."),
    _header("Notification-Requested-Via", [200, 202], "Who was asked for, where that is down."),
]


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
        *TAKEN,
        RETRY_AFTER,
    ],
    request=SendSerializer,
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
    parameters=[*IDEMPOTENCY, WAIT, LOCATION, *TAKEN, RETRY_AFTER],
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
        _header("Retry-After", [200, 304, 429, 503], "Seconds until it is worth asking again."),
    ],
    responses={200: NotificationSerializer, 304: None} | _problems(404, 412),
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
    parameters=[*IDEMPOTENCY, _header("Location", [202], "The new one."), *TAKEN, RETRY_AFTER],
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
list_suppressions = extend_schema(
    operation_id="listSuppressions",
    tags=["suppressions"],
    summary="Who gets no more, newest first",
    parameters=[SuppressionQuerySerializer],
    responses={200: SuppressionPageSerializer} | _problems(400, 404),
)
suppress = extend_schema(
    operation_id="suppress",
    tags=["suppressions"],
    summary="Put an address on the list",
    description="200 if it is there already: it stays as it is.",
    parameters=[_header("Location", [200, 201], "The entry.")],
    request=NewSuppressionSerializer,
    responses={200: SuppressionSerializer, 201: SuppressionSerializer} | _problems(400, 415),
)
suppression = extend_schema(
    operation_id="retrieveSuppression",
    tags=["suppressions"],
    summary="Why an address gets no more",
    responses={200: SuppressionSerializer} | _problems(404),
)
lift = extend_schema(
    operation_id="liftSuppression",
    tags=["suppressions"],
    summary="Take an address off the list",
    description="What was cancelled for it stays so.",
    request=None,
    responses={204: None} | _problems(404),
)
