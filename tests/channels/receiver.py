"""Somebody else's server, for tests: a real one on loopback that answers as a test tells it to."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: "Receiver"

    def do_POST(self) -> None:
        self.server.posts.append((dict(self.headers), b""))
        if self.server.reads:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.posts[-1] = (dict(self.headers), body)
        self.server.behaviour(self)
        self.close_connection = True

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class Receiver(ThreadingHTTPServer):
    """`posts` are the headers and bodies it got. `ended` is set when the test is over: a behaviour may wait for it."""

    daemon_threads = True
    block_on_close = True
    request_queue_size = 128  # with five, a burst of connections is reset

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.behaviour: Behaviour = lambda handler: handler.answer(204)
        self.reads = True
        self.ended = threading.Event()
        self.names: list[str | None] = []  # what clients asked for by SNI
        if tls is not None:
            tls.sni_callback = lambda sock, name, context: self.names.append(name)
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str = "/hook", scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up, or do not like the certificate, are what these tests are about."""


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    server = Receiver(tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.002}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
