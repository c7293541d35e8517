"""gunicorn's worker of threads, which waits for no client for ever: neither for the head of a request, nor at its end
for the first one on a connection."""

import time
from types import FrameType

from gunicorn.http.errors import NoMoreData
from gunicorn.workers import gthread

from .bodies import Hurried

HEAD_SECONDS = 20.0


class Connection(gthread.TConn):  # type: ignore[misc]
    """Its client has HEAD_SECONDS for each head, however it sends it. Past them it is closed without an answer."""

    def init(self) -> None:
        """Before each request."""
        super().init()
        if not self.is_http2:
            self.parser.unreader.sock = Hurried(self.sock, HEAD_SECONDS, NoMoreData)


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A connection that nobody has used would hold up the end for as long as one may be kept."""
        super().handle_exit(sig, frame)
        for connection in self.pending_conns:
            # As those that are kept.
            connection.timeout = min(connection.timeout, time.monotonic() + gthread.STOP_KEEPALIVE_LINGER)


gthread.TConn = Connection  # what a worker accepts; there is no other way to name it
