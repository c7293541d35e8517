"""A body has a minute, however its client sends it; and what nobody wanted of it is read after the answer."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from project import bodies

HEAD = b"POST /somewhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    client, server = socket.socketpair()
    with client, server:
        yield client, server


def parser(server: socket.socket) -> RequestParser:
    return RequestParser(Config(), server, ("127.0.0.1", 1))


def test_a_client_that_stops(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for the rest is told, and what the answer is written to is as it was."""
    monkeypatch.setattr(bodies, "SECONDS", 0.001)
    client, server = ends
    client.sendall(HEAD + b"ab")
    request = next(parser(server))
    bodies.hurry(request)
    with pytest.raises(TimeoutError):
        request.body.read()
    assert request.body.failed  # so gunicorn closes the connection
    bodies.finish(request)
    assert request.unreader.sock is server
    assert server.gettimeout() is None


def test_a_client_that_sends_now_and_then(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gets more time for each byte."""
    monkeypatch.setattr(bodies, "SECONDS", 0)
    client, server = ends
    client.sendall(HEAD)
    request = next(parser(server))
    bodies.hurry(request)
    client.sendall(b"abcd")
    with pytest.raises(TimeoutError):
        request.body.read()


def test_a_client_that_goes_on(ends: tuple[socket.socket, socket.socket]) -> None:
    """Bodies, and requests without one, on one connection."""
    client, server = ends
    requests = parser(server)
    for body in (b"abcd", b"efgh"):
        client.sendall(HEAD)
        request = next(requests)
        bodies.hurry(request)
        client.sendall(body)
        assert request.body.read() == body
        bodies.finish(request)
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        request = next(requests)
        bodies.hurry(request)
        assert request.unreader.sock is server
        bodies.finish(request)


@pytest.mark.slow
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_body_that_nobody_wanted(ends: tuple[socket.socket, socket.socket], *, is_chunked: bool) -> None:
    """Its client gets rid of it, and the next request is understood. gunicorn alone reads 64 KiB."""
    client, server = ends
    requests = parser(server)
    large = 4 * 1024 * 1024
    length = f"Content-Length: {large}"
    head, body = HEAD.replace(b"Content-Length: 4", length.encode()), b"x" * large
    if is_chunked:
        head = HEAD.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (large, body)
    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(client.sendall, head + body)
        request = next(requests)
        bodies.hurry(request)
        bodies.finish(request)
        sending.result(30)
    client.sendall(HEAD + b"abcd")
    assert next(requests).body.read() == b"abcd"


@pytest.mark.parametrize("rest", [b"", b"zz\r\n"])
def test_one_that_does_not_come(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    """Nobody waits for long, and what is no body is nobody's concern."""
    monkeypatch.setattr(bodies, "UNWANTED_SECONDS", 0.001)
    client, server = ends
    head = HEAD.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked") if rest else HEAD
    client.sendall(head + rest)
    request = next(parser(server))
    bodies.hurry(request)
    bodies.finish(request)
    assert request.body.failed
    assert request.unreader.sock is server


def test_what_has_no_connection() -> None:
    """Requests of HTTP/2 come from a stream."""
    bodies.hurry(object())
    bodies.finish(object())
