"""Around everything: gives the request its id, and measures how long it took. Goes first in MIDDLEWARE."""

import codecs
import logging
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import perf_counter
from typing import Any

import uuid_utils
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponseBase
from django.utils.log import log_response

from .. import tracing
from ..metrics import request_seconds
from ..request_id import request_id, route_of
from .bodies import must_be_whole
from .errors import bad_request

security = logging.getLogger("django.security.DisallowedHost")

HEADER = "X-Request-ID"
NO_CHARSETS = {"idna", "punycode"}
# RFC 9110, 9.3 and RFC 5789. Servers let any word through, and metrics keep what they have counted once.
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
OTHER = "_OTHER"  # OpenTelemetry's word for any other
# What is taken over goes into logs and into a row: nothing that could forge a line or fill a disk.
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class ObservedRequest:
    """For sync and async servers."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._acall(request)
        id, started = _id_of(request), perf_counter()
        must_be_whole(request)
        token = request_id.set(id)
        try:
            with tracing.request(request.META):
                return _observed(request, _refused(request) or self.get_response(request), id, started)
        finally:
            request_id.reset(token)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        id, started = _id_of(request), perf_counter()
        token = request_id.set(id)
        try:
            with tracing.request(request.META):
                return _observed(request, _refused(request) or await self.get_response(request), id, started)
        finally:
            request_id.reset(token)


def _refused(request: HttpRequest) -> HttpResponseBase | None:
    """The answer to what nobody behind us should touch.

    A charset that is a codec for domain names: to decode a megabyte of what is said to be punycode takes minutes, and
    Django does it for a form's fields before anybody is known.

    A Host that is not ours, while DEBUG is on: Django's answer would be a page that shows how the service is made, and
    who sends such a Host may be a stranger's page in a browser on this machine (DNS rebinding).
    """
    if (charset := request.encoding) and codecs.lookup(charset).name in NO_CHARSETS:
        return bad_request(request, LookupError(charset), "Unsupported charset.")
    if settings.DEBUG:
        try:
            request.get_host()
        except DisallowedHost as error:
            response = bad_request(request, error)
            # As Django does.
            log_response(str(error), request=request, response=response, level="error", logger=security)
            return response
    return None


def _id_of(request: HttpRequest) -> str:
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    id: str = given if ACCEPTABLE.fullmatch(given) else uuid_utils.uuid7().hex
    request.request_id = id  # type: ignore[attr-defined]  # for the lines that Django writes after us
    return id


def _observed(request: HttpRequest, response: HttpResponseBase, id: str, started: float) -> HttpResponseBase:
    response[HEADER] = id
    if response.status_code == HTTPStatus.NOT_MODIFIED:
        del response["Content-Length"]  # Django's is 0, and that would be said of the 200 (RFC 9110, 8.6)
    route = route_of(request)
    method = str(request.method) if request.method in METHODS else OTHER
    tracing.answered(method, route, response.status_code)
    labels = request_seconds.labels(method, route, response.status_code)
    labels.observe(perf_counter() - started)
    return response
