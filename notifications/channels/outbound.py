"""One POST to somebody else's server: to a checked address, under one deadline, and no more read than agreed.

Python's own `http.client` over a socket of our own: it follows no redirects, knows no proxies of the environment
and does not decompress, so that there is nothing to switch off.

Note [When the last byte is out]: a server acts on a request that it has whole. Until our last byte is out, a
broken connection means "not arrived", and trying again is safe. From then on nobody knows, unless it answers.
"""

import io
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from time import monotonic
from typing import Any

from ..exceptions import DeliveryError
from .guard import Address, Guard
from .url import URLParts

MAX_READ = 64 * 1024  # bytes of an answer's body that are read
MAX_KEPT = 2000  # characters of it that are kept
STRANGERS = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH and …_IP_ADDRESS_MISMATCH: their texts name the host


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str  # the beginning of the body


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. `total` is for all of it, however slowly the other side drips; the resolver alone is not bound."""

    connect: float = 5.0  # to each address of the host, TLS included
    read: float = 10.0  # between two pieces of the answer
    total: float = 15.0


class Deadlined(io.RawIOBase):
    """A socket as http.client uses one, on which no single operation outlives the deadline."""

    def __init__(self, sock: socket.socket, timeout: float, deadline: float) -> None:
        self.sock, self.timeout, self.deadline = sock, timeout, deadline

    def sendall(self, data: Any) -> None:
        rest = memoryview(data)
        while rest:
            self._wait()
            rest = rest[self.sock.send(rest) :]

    def readinto(self, buffer: Any) -> int:
        self._wait()
        return self.sock.recv_into(buffer)

    def readable(self) -> bool:
        return True

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def close(self) -> None:
        """Nothing: http.client closes its socket while it still reads the answer. `post` closes the real one."""

    def _wait(self) -> None:
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.sock.settimeout(min(left, self.timeout))


class FinalResponse(HTTPResponse):
    """The answer behind what may be announced before it (RFC 9110, 15.2). Python's own passes over 100 alone."""

    def begin(self) -> None:
        super().begin()
        while HTTPStatus.SWITCHING_PROTOCOLS < self.status < HTTPStatus.OK:
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first
            super().begin()


def post(
    url: URLParts, body: bytes, headers: Mapping[str, str], *, guard: Guard, limits: Limits, ca_file: str = ""
) -> Answer:
    """Send it and return the answer, whatever its status.

    Raises DeliveryError with the phase it came to: resolve, connect, tls, request, response. `unknown` is set
    from the last one on: Note [When the last byte is out].
    """
    deadline = monotonic() + limits.total
    addresses = guard.addresses(url.host, url.port)
    with _connected(url, addresses, limits, deadline, ca_file) as sock:
        connection = HTTPConnection(url.host, url.port)
        connection.response_class = FinalResponse
        # It duck-types: sendall, makefile and close are all that http.client asks of a socket.
        connection.sock = Deadlined(sock, limits.read, deadline)
        broken = _ask(connection, url, body, headers)
        try:
            return _answer(connection.getresponse())
        except (OSError, HTTPException, ValueError) as error:
            # Some servers answer and close before they have read all of a request; they had their chance.
            if broken is not None:
                raise DeliveryError(_reason("The request was not sent", broken), phase="request") from broken
            raise DeliveryError(
                _reason("The request was sent, but not answered", error), unknown=True, phase="response"
            ) from error


def _ask(
    connection: HTTPConnection, url: URLParts, body: bytes, headers: Mapping[str, str]
) -> OSError | None:
    """Write the request. Returns what broke the connection before its last byte was out."""
    everything = {"Host": url.authority, "Connection": "close", **headers}
    try:
        connection.request("POST", url.target, body, everything)
    except OSError as error:
        return error
    return None


def _answer(response: HTTPResponse) -> Answer:
    """Status and headers count; a body that breaks off, or never ends, does not change what they say."""
    if response.status < 200:
        raise HTTPException(f"status {response.status} is no final answer")
    body = bytearray()
    with suppress(OSError, HTTPException, ValueError):
        while len(body) < MAX_READ and (piece := response.read1(MAX_READ - len(body))):
            body += piece
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, body.decode("utf-8", errors="replace")[:MAX_KEPT])


def _connected(
    url: URLParts, addresses: list[Address], limits: Limits, deadline: float, ca_file: str
) -> socket.socket:
    """A connection to the first address that takes one."""
    failure: OSError = TimeoutError("timed out")
    for address in addresses:
        timeout = min(limits.connect, deadline - monotonic())
        if timeout <= 0:
            break
        try:
            sock = socket.create_connection((str(address), url.port), timeout)
        except OSError as error:
            failure = error
            continue
        return _wrapped(sock, url, ca_file) if url.scheme == "https" else sock
    raise DeliveryError(_reason("No connection", failure), phase="connect") from failure


def _wrapped(sock: socket.socket, url: URLParts, ca_file: str) -> socket.socket:
    """TLS with the host's own name: in SNI, and in the certificate. The timeout bounds the whole handshake."""
    try:
        return _tls(ca_file).wrap_socket(sock, server_hostname=url.host.strip("[]"))
    except (OSError, ValueError) as error:  # SSLError is an OSError
        sock.close()
        raise DeliveryError(_reason("No TLS connection", error), phase="tls") from error


@cache
def _tls(ca_file: str) -> ssl.SSLContext:
    # One for all threads: reading the system's certificates takes longer than a request.
    return ssl.create_default_context(cafile=ca_file or None)


def _reason(what: str, error: Exception) -> str:
    """Without texts that quote the other side, or the host's name."""
    if isinstance(error, TimeoutError):
        return f"{what}: timed out."
    if isinstance(error, ssl.SSLCertVerificationError):
        stranger = error.verify_code in STRANGERS
        return f"{what}: {'the certificate is for another host' if stranger else error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return f"{what}: {error.reason or type(error).__name__}."
    if isinstance(error, OSError) and error.strerror:
        return f"{what}: {error.strerror}."
    return f"{what}: {type(error).__name__}."
