"""A client has some seconds for the head of its request; and one that never asks anything holds up no stop."""

import signal
import socket
import time
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData
from gunicorn.workers import gthread

from project import bodies, connections

HEAD = b"POST /somewhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"
Ends = tuple[socket.socket, connections.Connection]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A client, and its connection as a worker makes it."""
    client, server = socket.socketpair()
    with client, server:
        yield client, gthread.TConn(Config(), server, ("127.0.0.1", 1), ("127.0.0.1", 2))


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (HEAD[:20], 0.01),
        (HEAD[:-2], 0.01),
        (HEAD, 0),  # its last byte comes too late: nobody gets more time for each
    ],
)
def test_a_head_that_does_not_come(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, sent: bytes, seconds: float
) -> None:
    """The thread is free again, and gunicorn closes the connection."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", seconds)
    client, connection = ends
    client.sendall(sent)
    connection.init()
    with pytest.raises(NoMoreData):
        next(connection.parser)


def test_each_request_has_its_time(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one on a connection that was kept, too; and a body has its own."""
    client, connection = ends
    for _ in range(2):
        client.sendall(HEAD)
        connection.init()
        request = next(connection.parser)
        monkeypatch.setattr(connection.parser.unreader.sock, "_until", 0.0)  # it came at the last moment
        client.sendall(b"abcd")
        bodies.hurry(request)
        assert request.body.read() == b"abcd"
        bodies.finish(request)
        assert request.unreader.sock is connection.sock


def test_a_stop_waits_for_no_unused_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers and balancers open some that they never use. gunicorn alone keeps them as long as it may."""
    unused = SimpleNamespace(timeout=time.monotonic() + 130)
    worker: Any = object.__new__(connections.Worker)
    worker.alive, worker.pending_conns = True, deque([unused])
    monkeypatch.setattr(
        connections.Worker, "method_queue", SimpleNamespace(defer=lambda _: None), raising=False
    )
    worker.handle_exit(signal.SIGTERM, None)
    assert not worker.alive
    assert unused.timeout <= time.monotonic() + gthread.STOP_KEEPALIVE_LINGER
