"""Every error leaves as a problem document (RFC 9457), whoever raised it.

{"type", "title", "status", "detail", "instance"} and, where fields are wrong,
"errors": [{"pointer" | "parameter", "code", "detail"}]. Never a traceback, never an address in `detail`.
"""

import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import (
    NON_FIELD_ERRORS,
    PermissionDenied,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpRequest, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from rest_framework import status
from rest_framework.exceptions import (
    APIException,
    ErrorDetail,
    MethodNotAllowed,
    ParseError,
    Throttled,
    ValidationError,
)
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler

from ..exceptions import BatchRefused, InvalidStatus, RecipientLimitReached
from .away import AWAY, DatabaseAway, log_away
from .bodies import unreadable

CONTENT_TYPE = "application/problem+json"


class PayloadTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "The request body is too large."


class LengthRequired(APIException):
    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "Send the body with a Content-Length; it may not be chunked."


class UnsupportedCoding(APIException):
    """RFC 9110, 15.5.16; what would be taken is said as RFC 7694, 3 says it."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_coding"
    default_detail = "Send the body as it is: no Content-Encoding is known here."
    headers = {"Accept-Encoding": "identity"}


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class PreconditionFailed(APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"
    default_detail = "It is not as If-Match says. A weak ETag never is (RFC 9110, 13.1.1)."


class InFlight(Conflict):
    default_code = "in_flight"
    default_detail = "The first request with this Idempotency-Key is still being answered. Ask again."
    wait = 1  # seconds; DRF makes Retry-After of it


class KeyReused(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "key_reused"
    default_detail = "This Idempotency-Key came with another request before. Take a new one."


class InvalidHeader(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_header"

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.errors = [{"parameter": name, "code": self.default_code, "detail": detail}]


def problem_response(exception: Exception, context: Mapping[str, Any]) -> JsonResponse | None:
    """DRF's EXCEPTION_HANDLER. None for a fault of ours: Django answers 500 by `server_error`."""
    if isinstance(exception, AWAY):
        log_away(exception, type(context["view"]).__name__)
    exception = _translated(exception)
    response = exception_handler(exception, dict(context))
    if response is None:
        return None
    request = context["request"]
    detail: str = {
        Http404: "There is nothing at this address.",
        PermissionDenied: "You may not do this.",
    }.get(type(exception), "") or str(getattr(exception, "detail", ""))
    errors = getattr(exception, "errors", None)
    if isinstance(exception, ValidationError):
        parameters = frozenset(getattr(context["view"], "query_parameters", ())) & request.query_params.keys()
        errors = list(errors_of(exception.detail, parameters))
        detail = " ".join(error["detail"] for error in errors)
    headers = {name: value for name, value in response.items() if name != "Content-Type"}
    headers |= getattr(exception, "headers", {})
    # Not by the view's renderer: that of a page would make a page of it.
    return JsonResponse(
        problem(response.status_code, detail, request.path, errors),
        status=response.status_code,
        headers=headers,
        content_type=CONTENT_TYPE,
    )


def problem(
    status_code: int, detail: str, instance: str, errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status_code).phrase,
        "status": status_code,
        "detail": detail,
        "instance": instance,
    }
    if errors:
        document["errors"] = errors
    return document


def bad_request(
    request: HttpRequest, exception: Exception, detail: str = "The request could not be understood."
) -> JsonResponse:
    """Django's handler400: a request that never reached a view (a forged Host, a body Django refuses)."""
    return _page(request, status.HTTP_400_BAD_REQUEST, detail)


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's handler403."""
    return _page(request, status.HTTP_403_FORBIDDEN, "You may not do this.")


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's handler404."""
    return _page(request, status.HTTP_404_NOT_FOUND, "There is nothing at this address.")


@csrf_exempt  # nothing is done here
@login_not_required
def nowhere(request: HttpRequest) -> JsonResponse:
    """A view for addresses of the API that lead to nothing."""
    return not_found(request, Http404())


def method_not_allowed(request: HttpRequest, allowed: list[str]) -> JsonResponse:
    """For views that are not REST framework's."""
    response = _page(
        request, status.HTTP_405_METHOD_NOT_ALLOWED, str(MethodNotAllowed(str(request.method)).detail)
    )
    response["Allow"] = ", ".join(allowed)
    return response


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's handler500. The traceback is in the log, not in the answer. 503 where the database is away."""
    if isinstance(sys.exception(), AWAY):  # of the admin, say, or while somebody is looked up by the session
        response = _page(request, DatabaseAway.status_code, DatabaseAway.default_detail)
        response["Retry-After"] = str(DatabaseAway.wait)
        return response
    return _page(request, status.HTTP_500_INTERNAL_SERVER_ERROR, "Something went wrong on our side.")


def _translated(exception: Exception) -> Exception:
    """Ours, and Django's, as REST framework's."""
    if isinstance(exception, DjangoValidationError):
        return ValidationError(_details(exception))
    if isinstance(exception, BatchRefused):
        return ValidationError({str(at): batch_detail(error) for at, error in exception.errors.items()})
    if isinstance(exception, AWAY):
        return DatabaseAway()
    if isinstance(exception, TooManyFieldsSent | TooManyFilesSent):
        return ParseError("There are too many fields.")
    if isinstance(exception, UnreadablePostError):
        return unreadable(exception)
    if isinstance(exception, InvalidStatus):
        return Conflict(str(exception))
    if isinstance(exception, RecipientLimitReached):
        return Throttled(exception.retry_after.total_seconds(), str(exception))
    return exception


def batch_detail(error: Exception) -> Any:
    """What was wrong with one item of a batch, as REST framework's details."""
    if isinstance(error, DjangoValidationError):
        return _details(error)
    if isinstance(error, APIException):
        return error.detail
    return {"recipient": [ErrorDetail(str(error), code="limit")]}


def _page(request: HttpRequest, status_code: int, detail: str) -> JsonResponse:
    return JsonResponse(
        problem(status_code, detail, request.path), status=status_code, content_type=CONTENT_TYPE
    )


def _details(error: DjangoValidationError) -> dict[str, Any] | list[Any]:
    """A Django ValidationError as DRF's, codes kept."""
    if not hasattr(error, "error_dict"):
        return [ErrorDetail(str(e.messages[0]), code=e.code or "invalid") for e in error.error_list]
    return {
        api_settings.NON_FIELD_ERRORS_KEY if field == NON_FIELD_ERRORS else field: [
            ErrorDetail(e.messages[0], code=e.code or "invalid") for e in errors
        ]
        for field, errors in error.error_dict.items()
    }


def errors_of(
    detail: Any, parameters: frozenset[str] = frozenset(), pointer: str = ""
) -> Iterator[dict[str, str]]:
    """Flatten DRF's nested details. `pointer` is RFC 6901 into the body, `parameter` a name in the URL."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            step = "" if name == api_settings.NON_FIELD_ERRORS_KEY else f"/{name}"
            yield from errors_of(inner, parameters, pointer + step)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            step = "" if isinstance(inner, ErrorDetail) else f"/{index}"
            yield from errors_of(inner, parameters, pointer + step)
    else:
        name = pointer.removeprefix("/")
        where = {"parameter": name} if name in parameters else {"pointer": pointer}
        yield {**where, "code": getattr(detail, "code", "invalid"), "detail": str(detail)}
