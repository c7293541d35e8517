"""How long a body may take, and what becomes of one that nobody wants. gunicorn waits for ever, and reads 64 KiB."""

import time
from contextlib import suppress
from typing import Any

from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request

SECONDS = 60.0
UNWANTED_SECONDS = 5.0
UNWANTED_BYTES = 16 * 1024 * 1024
PIECE = 64 * 1024


class Hurried:
    """The connection of a request, until all that is read should be there. Then to read it raises `error`.

    The time is that of the whole: a client that sends a byte now and then gets no more of it.
    """

    def __init__(self, connection: Any, seconds: float, error: type[Exception] = TimeoutError) -> None:
        self.connection = connection
        self._until = time.monotonic() + seconds
        self._error = error

    def recv(self, size: int) -> bytes:
        left = self._until - time.monotonic()
        if left <= 0:
            raise self._error("It took too long.")
        self.connection.settimeout(left)
        try:
            data: bytes = self.connection.recv(size)
        except TimeoutError:
            raise self._error("It took too long.") from None
        finally:
            self.connection.settimeout(None)  # as gunicorn has it
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def hurry(request: Any) -> None:
    """Before anybody reads the body of this request."""
    if _has_more(request):
        request.unreader.sock = Hurried(_plain(request.unreader.sock), SECONDS)


def finish(request: Any) -> None:
    """After the answer: read what nobody wanted, for some seconds and up to some size.

    A connection that is closed with bytes unread is reset. A proxy that still sends never sees the answer then, and its
    client gets a 502 for what was a 401.
    """
    if not isinstance(request, Request):
        return
    unreader = request.unreader
    unreader.sock = connection = _plain(unreader.sock)
    if not _has_more(request) or request.body.failed:
        return
    unreader.sock = Hurried(connection, UNWANTED_SECONDS)
    try:
        with suppress(OSError, ParseException):  # the client is gone, or sends what is no body
            for _ in range(0, UNWANTED_BYTES, PIECE):
                if not request.body.read(PIECE):
                    break
    finally:
        unreader.sock = connection


def _plain(connection: Any) -> Any:
    return connection.connection if isinstance(connection, Hurried) else connection


def _has_more(request: Any) -> bool:
    """A request of HTTP/2 has no such connection."""
    return isinstance(request, Request) and getattr(request.body.reader, "length", None) != 0
