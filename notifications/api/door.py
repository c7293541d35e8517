"""What every view of the API begins with: size, address, caller, right, rate. Only then is a byte parsed."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.db import transaction
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, Throttled
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .authentication import TokenAuthentication
from .errors import LengthRequired, PayloadTooLarge, UnsupportedCoding, problem_response
from .negotiation import OnlyJSON
from .parsers import JSONParser, check_escapes, get_encoding
from .permissions import HasRight
from .throttling import CallerThrottle, refused_from


class Closed(APIView):
    """What holds for all views of this API, whatever the project's REST_FRAMEWORK says of its own.

    REST framework's defaults let everybody in, and its handler knows none of our errors.
    """

    # The token is first: its WWW-Authenticate makes 401 a 401.
    authentication_classes = [TokenAuthentication, SessionAuthentication]
    permission_classes = [HasRight]
    content_negotiation_class = OnlyJSON
    versioning_class = None

    @classmethod
    def as_view(cls, **kwargs: Any) -> Any:
        """Not in the transaction of ATOMIC_REQUESTS: each has its own, and who waits for a worker (`Prefer: wait`) must
        not wait inside of one that the worker cannot look into."""
        return transaction.non_atomic_requests(super().as_view(**kwargs))

    def get_exception_handler(self) -> Callable[..., Any]:
        return problem_response


class Door(Closed):
    """Closed, unless the caller is known and has the permission that `rights` names for the method."""

    rights: ClassVar[dict[str, str]] = {}
    # Names of parameters in the query: a field error about one of these is not about the body.
    query_parameters: ClassVar[list[str]] = []
    throttle_classes = [CallerThrottle]
    parser_classes = [JSONParser]
    renderer_classes = [JSONRenderer]

    @property
    def max_bytes(self) -> int | None:
        return settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self._measure(request)
        refused = refused_from(request)
        if refused.is_spent():
            raise Throttled(refused.wait(), "Too many requests from this address were not let in.")
        try:
            super().initial(request, *args, **kwargs)
        except (NotAuthenticated, AuthenticationFailed):
            refused.add()
            raise
        self._check_text(request)

    def _check_text(self, request: Request) -> None:
        """Refuse what would be read as something else than was sent."""
        meta = request._request.META  # noqa: SLF001 (DRF's documented name; its own META is looked for anew each time)
        coding = meta.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        if coding not in {"", "identity"} and has_body(request):
            raise UnsupportedCoding
        encoding = get_encoding(request.parser_context)  # of the body, and so, with Django, of the query
        if "%" in (query := meta.get("QUERY_STRING", "")):
            check_escapes(query, encoding)
        # What is no UTF-8 in the path Django has escaped again, as if it had been written so: only the server knows.
        uri = meta.get("RAW_URI") or meta.get("REQUEST_URI", "")  # gunicorn's name, and others'
        path, _, _ = uri.partition("?")
        if "%" in path:
            check_escapes(path, "utf-8")

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    def _measure(self, request: Request) -> None:
        """Refuse a body that is too large before a byte of it is read: DRF's parsers read all there is. The server
        reads it after the answer, so that it arrives (for gunicorn: `project/bodies.py`)."""
        meta = request._request.META  # noqa: SLF001
        length = meta.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or ("HTTP_TRANSFER_ENCODING" in meta and length == "0"):
            # Django would take a chunked body for an empty one.
            raise LengthRequired
        if self.max_bytes is not None and int(length) > self.max_bytes:
            raise PayloadTooLarge(f"The request body is larger than {self.max_bytes} bytes.")


def has_body(request: Request) -> bool:
    """As far as its length says; there is no other way in (411)."""
    return request.META.get("CONTENT_LENGTH") not in {None, "", "0"}
