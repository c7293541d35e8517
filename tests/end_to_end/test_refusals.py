"""What the web server refuses by itself, before an address is known."""

import json
import socket
from http.client import HTTPResponse
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.conftest import Service

pytestmark = pytest.mark.process

POST = b"POST /send-notification/you@example.com HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"


def answered(service: Service, request: bytes) -> tuple[int, str | None, bytes]:
    place = urlsplit(service.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall(request)
        response = HTTPResponse(connection)
        response.begin()
        return response.status, response.getheader("Content-Type"), response.read()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"no request of you@example.com\r\n\r\n", 400),
        (b"post /send-notification/you@example.com HTTP/1.1\r\n\r\n", 400),
        (POST + b"you@example.com\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", 400),
        (POST.replace(b".com", b".com?message=" + b"x" * 9000) + b"\r\n", 414),
        (POST + b"Expect: you@example.com\r\n\r\n", 417),
        (POST + b"X-Long: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (POST + b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n", 431),
    ],
)
def test_a_refusal_is_a_problem_document(service: Service, request_: bytes, status: int) -> None:
    """RFC 9457, and nothing of what was sent comes back."""
    code, kind, body = answered(service, request_)
    assert (code, kind) == (status, "application/problem+json")
    document = json.loads(body)
    assert (document["status"], document["type"]) == (status, "about:blank")
    assert document["title"]
    assert document["detail"]
    assert b"you@" not in body


def test_a_long_address(service: Service) -> None:
    """A text may be in the query, where each letter beyond ASCII takes six places."""
    long = POST.replace(b".com", b".com?message=" + b"%C3%BC" * 1340) + b"\r\n"
    code, _, body = answered(service, long)
    assert code == 200, body


def test_headers_of_other_proxies(service: Service) -> None:
    """A proxy that sets X-Forwarded-Proto lets the like of it pass: who sends that is answered as anybody."""
    for other in (b"X-Forwarded-Ssl: off", b"X-Forwarded-Protocol: http", b"Front-End-Https: off"):
        code, _, body = answered(service, POST + b"X-Forwarded-Proto: https\r\n" + other + b"\r\n\r\n")
        assert code == 200, body


def test_two_schemes(service: Service) -> None:
    """A proxy that adds its own to the client's: nobody can tell which is which."""
    code, _, _ = answered(service, POST + b"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n\r\n")
    assert code == 400
