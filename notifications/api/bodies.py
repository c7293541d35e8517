"""A body that ends before its Content-Length is none (RFC 9112, 8): a form that was cut off looks like a whole one."""

from io import IOBase
from typing import Any

from django.core.handlers.wsgi import LimitedStream
from django.http import HttpRequest, UnreadablePostError
from rest_framework import status
from rest_framework.exceptions import APIException


class BodyCutOff(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "cut_off"
    default_detail = "The request body ended before its Content-Length."


class BodyTooSlow(APIException):
    status_code = status.HTTP_408_REQUEST_TIMEOUT
    default_code = "too_slow"
    default_detail = "The request body did not arrive in time."


class WholeStream(IOBase):
    """A body of `length` bytes. Raises ConnectionAbortedError to whoever reads to the end of a shorter one."""

    def __init__(self, stream: LimitedStream, length: int) -> None:
        self._stream = stream
        self._missing = length

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self._counted(self._stream.read(-1), is_end=True)
        data = self._stream.read(size)
        return self._counted(data, is_end=not data and size > 0)

    def readline(self, size: int | None = -1, /) -> bytes:
        line = self._stream.readline(-1 if size is None else size)
        return self._counted(line, is_end=not line and size != 0)

    def _counted(self, data: bytes, *, is_end: bool) -> bytes:
        self._missing -= len(data)
        if is_end and self._missing > 0:
            raise ConnectionAbortedError(f"{self._missing} bytes of the body are missing.")
        return data


def must_be_whole(request: HttpRequest) -> None:
    """Whoever reads it is told (UnreadablePostError) when it is not. ASGI has read it to its end by now."""
    stream = getattr(request, "_stream", None)
    if isinstance(stream, LimitedStream) and stream.limit:
        whole: Any = WholeStream(stream, stream.limit)
        request._stream = whole  # noqa: SLF001 (Django has no other place for it)


def unreadable(error: UnreadablePostError) -> APIException:
    """What to say of it, should there still be somebody to listen."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return BodyTooSlow()
        cause = cause.__cause__
    return BodyCutOff()
