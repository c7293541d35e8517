"""Many in one request: a JSON list, or one JSON object a line (NDJSON). Each item is checked by itself."""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import HttpResponseBase
from django.urls import reverse
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from .. import services
from ..background import BackgroundTasks
from ..conf import notification_settings
from ..exceptions import BatchRefused, RecipientLimitReached
from ..models import Notification
from .door import Door
from .errors import PayloadTooLarge, batch_detail, errors_of
from .idempotency import answered_once
from .operations import operation
from .parsers import get_encoding, parse_json
from .permissions import owner
from .serializers import BulkQuerySerializer, NewNotificationSerializer

JSON, NDJSON = "application/json", "application/x-ndjson"


class NotificationsInBulk(Door):
    """Accept many. 202 with one result for each, in their order; with `?atomic=true` all or none."""

    rights = {"POST": "add_notification"}
    query_parameters = ["atomic"]

    @property
    def max_bytes(self) -> int:
        return notification_settings().bulk_max_bytes

    @operation("bulk")
    def post(self, request: Request, background_tasks: BackgroundTasks) -> HttpResponseBase:
        query = BulkQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        body: bytes = request.stream.read() if request.stream else b""
        items = _checked(_items(request, body))

        def answer() -> Response:
            if query.validated_data["atomic"]:
                results = _all_or_nothing(request, items, background_tasks)
            else:
                results = _each(request, items, background_tasks)
            address = reverse("notifications:notifications")
            return Response({"results": [_result(result, address) for result in results]}, status=202)

        return answered_once(request, body, answer)


Item = dict[str, Any] | APIException
Result = Notification | Exception


def _each(request: Request, items: list[Item], background_tasks: BackgroundTasks) -> list[Result]:
    results = iter(
        services.accept_many(
            [item for item in items if isinstance(item, dict)],
            owner=owner(request),
            enqueue=background_tasks.add_task,
        )
    )
    return [next(results) if isinstance(item, dict) else item for item in items]


def _all_or_nothing(request: Request, items: list[Item], background_tasks: BackgroundTasks) -> list[Result]:
    refused = {at: item for at, item in enumerate(items) if isinstance(item, APIException)}
    if refused:
        raise BatchRefused(refused)
    return list(
        services.accept_many(
            [item for item in items if isinstance(item, dict)],
            owner=owner(request),
            all_or_nothing=True,
            enqueue=background_tasks.add_task,
        )
    )


def _items(request: Request, body: bytes) -> list[Any]:
    """Raises ParseError, UnsupportedMediaType, PayloadTooLarge."""
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if media_type not in {JSON, NDJSON}:
        raise UnsupportedMediaType(media_type)
    try:
        text = body.decode(get_encoding(request.parser_context))
        items = list(_lines(text)) if media_type == NDJSON else parse_json(text)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both
        raise ParseError(f"JSON parse error - {error}") from error
    if not isinstance(items, list):
        raise ParseError("Send a list.")
    limit = notification_settings().bulk_max_items
    if len(items) > limit:
        raise PayloadTooLarge(f"A request has at most {limit} notifications.")
    return items


def _lines(text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error


def _checked(items: list[Any]) -> list[Item]:
    """Each item's fields, or what is wrong with it."""
    serializer = NewNotificationSerializer()  # one for all: to make its fields costs more than to use them
    checked: list[Item] = []
    for item in items:
        try:
            checked.append(dict(serializer.run_validation(item)))
        except ValidationError as error:
            checked.append(error)
    return checked


def _result(result: Result, address: str) -> dict[str, Any]:
    """`code` is what the answer would have been to this one alone."""
    if isinstance(result, Notification):
        id = str(result.pk)
        said = {"code": 200 if result.is_duplicate else 202, "id": id, "location": f"{address}/{id}"}
        if result.requested_via:
            said |= {"via": result.via, "requested_via": result.requested_via}
        return said
    assert isinstance(result, DjangoValidationError | RecipientLimitReached | APIException)
    code = 429 if isinstance(result, RecipientLimitReached) else 400
    return {"code": code, "errors": list(errors_of(batch_detail(result)))}
