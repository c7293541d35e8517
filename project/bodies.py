"""How long a body may take. A thread waits for it, and gunicorn lets it wait for ever."""

import time
from typing import Any

from gunicorn.http.message import Request

SECONDS = 60.0


class Hurried:
    """The connection of a request, until its body should be there. Then to read it raises TimeoutError.

    The time is that of the whole body: a client that sends a byte now and then gets no more of it.
    """

    def __init__(self, connection: Any, seconds: float) -> None:
        self.connection = connection
        self._until = time.monotonic() + seconds

    def recv(self, size: int) -> bytes:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("The body took too long.")
        self.connection.settimeout(left)
        try:
            data: bytes = self.connection.recv(size)
        finally:
            self.connection.settimeout(None)  # as gunicorn has it
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def hurry(request: Any) -> None:
    """Before anybody reads the body of this request."""
    # HTTP/2 has no such connection; and what has no body waits for none.
    if isinstance(request, Request) and getattr(request.body.reader, "length", None) != 0:
        request.unreader.sock = Hurried(request.unreader.sock, SECONDS)


def no_more(request: Any) -> None:
    """After the answer: gunicorn reads what is left of the body, in a time of its own, and the next request."""
    unreader = getattr(request, "unreader", None)
    if unreader is not None and isinstance(unreader.sock, Hurried):
        unreader.sock = unreader.sock.connection
