"""The HTTP clients, in a process of their own: `python -m benchmarks.load '{"port": 8000, …}'`.

Raw sockets with keep-alive and one epoll loop: some 20 µs of CPU a request, so that it does not measure
itself. What it used is in its answer (`cpu_share`, of one core). It prints one JSON object.
"""

import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from .arrivals import Arrivals

HOST = "127.0.0.1"
PATIENCE = 5.0  # seconds after the last request in which its line may still come
# Seconds for which a client of a closed loop keeps its connection. Whichever process accepts a connection serves it for
# as long as it lasts, and with all eight on one of two a service has half of its speed: the luck of the first moment
# would decide the figure.
STAY = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. Without `rate` every client sends as soon as it has its answer (a closed loop)."""

    port: int
    path: str  # with {n} where the number of the request goes
    clients: int = 8
    seconds: float = 3.0
    warmup: float = 0.5  # seconds at the start that are not counted
    start: int = 0  # first number
    count: int | None = None  # stop after so many
    rate: float | None = None  # requests a second
    watch: str | None = None  # file in which each request becomes a line
    stop_file: str | None = None  # stop when this file …
    stop_size: int = 0  # … has so many bytes
    bulk: int = 0  # items in a JSON body


@dataclass(slots=True)
class Client:
    """One connection and the request that is under way on it."""

    sock: socket.socket
    opened_at: float
    sent_at: float = 0.0
    number: int | None = None
    buffer: bytearray = field(default_factory=bytearray)


class Load:
    """The loop. `run()` returns the figures."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.poll = select.epoll()
        self.clients: dict[int, Client] = {}
        self.numbers = count(plan.start)
        self.replies: list[tuple[float, float, int]] = []  # sent, answered, number
        self.errors, self.first_error = 0, ""
        self.arrivals = Arrivals(plan.watch) if plan.watch else None
        self._stat_at = 0.0

    def run(self) -> dict[str, Any]:
        for _ in range(self.plan.clients):
            self._connect()
        if self.arrivals:
            self.poll.register(self.arrivals.fileno(), select.EPOLLIN)
        self.began, cpu = time.perf_counter(), time.process_time()
        self.until = self.began + self.plan.seconds
        if self.plan.rate:
            self._paced()
        else:
            self._closed()
        wall = time.perf_counter() - self.began
        return self._figures() | {"cpu_share": (time.process_time() - cpu) / wall}

    def _closed(self) -> None:
        for client in list(self.clients.values()):
            self._send(client)
        while any(client.number is not None for client in self.clients.values()):
            for client in self._answers(1.0):
                if not self._over():
                    has_stayed = time.perf_counter() > client.opened_at + STAY
                    self._send(self._drop(client) if has_stayed else client)
            if time.perf_counter() > self.until + 10:
                self._fail("no answer within 10 s")
                break

    def _paced(self) -> None:
        pause = 1 / self.plan.rate
        due = self.began
        while due < self.until:
            while (wait := due - time.perf_counter()) > 0:
                self._answers(wait)
            free = next((c for c in self.clients.values() if c.number is None), None) or self._connect()
            self._send(free)
            due += pause
        end = time.perf_counter() + PATIENCE
        while time.perf_counter() < end and self._waiting():
            self._answers(0.05)

    def _waiting(self) -> bool:
        busy = any(client.number is not None for client in self.clients.values())
        return busy or bool(self.arrivals and len(self.arrivals.seen) < len(self.replies))

    def _over(self) -> bool:
        now = time.perf_counter()
        if self.plan.count is not None and len(self.replies) + self.plan.clients > self.plan.count:
            return True
        if self.plan.stop_file and now > self._stat_at:
            self._stat_at = now + 0.02
            if os.stat(self.plan.stop_file).st_size >= self.plan.stop_size:
                return True
        return now > self.until

    def _connect(self) -> Client:
        client = Client(socket.create_connection((HOST, self.plan.port)), time.perf_counter())
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients[client.sock.fileno()] = client
        self.poll.register(client.sock.fileno(), select.EPOLLIN)
        return client

    def _drop(self, client: Client) -> Client:
        self.poll.unregister(client.sock.fileno())
        del self.clients[client.sock.fileno()]
        client.sock.close()
        return self._connect()

    def _send(self, client: Client) -> None:
        client.number = next(self.numbers)
        client.sent_at = time.perf_counter()
        try:
            client.sock.sendall(self._request(client.number))
        except OSError:  # an idle connection that the server has closed
            number, client = client.number, self._drop(client)
            client.number, client.sent_at = number, time.perf_counter()
            client.sock.sendall(self._request(number))

    def _request(self, number: int) -> bytes:
        body = b""
        path = self.plan.path.format(n=f"{number:08d}")
        if self.plan.bulk:
            first = number * self.plan.bulk
            items = [{"recipient": f"b{n:08d}@example.com"} for n in range(first, first + self.plan.bulk)]
            body = json.dumps([item | {"message": "some notification"} for item in items]).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _answers(self, timeout: float) -> list[Client]:
        """Wait for what comes; return the clients whose answer is complete."""
        done = []
        for fd, _ in self.poll.poll(timeout):
            if fd not in self.clients:
                if self.arrivals:
                    self.arrivals.read()
                continue
            client = self.clients[fd]
            try:
                data = client.sock.recv(262144)
            except ConnectionError:
                data = b""
            if not data:
                if client.number is not None:
                    self._fail("connection closed")
                    done.append(self._drop(client))
                else:
                    self._drop(client)
                continue
            client.buffer += data
            if self._complete(client):
                done.append(client)
        return done

    def _complete(self, client: Client) -> bool:
        head_end = client.buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return False
        head = bytes(client.buffer[:head_end]).lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(client.buffer) < head_end + 4 + length:
            return False
        if head[9:10] != b"2":
            self._fail(bytes(client.buffer[:2000]).decode(errors="replace"))
        self.replies.append((client.sent_at, time.perf_counter(), client.number))
        client.number = None
        client.buffer.clear()
        return True

    def _fail(self, reason: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or reason

    def _figures(self) -> dict[str, Any]:
        counted = [r for r in self.replies if r[1] > self.began + self.plan.warmup] or self.replies
        figures: dict[str, Any] = {
            "sent": len(self.replies),
            "errors": self.errors,
            "first_error": self.first_error,
            **quantiles("reply", [answered - sent for sent, answered, _ in counted]),
        }
        if counted:
            span = counted[-1][1] - (self.began + self.plan.warmup)
            figures["per_second"] = len(counted) / span if span > 0 else 0.0
        if self.arrivals:
            # A line that was there before the reply was complete counts as no wait at all, and one that
            # never came as the whole time we waited for it.
            seen = self.arrivals.seen
            waits = [
                (seen[n] - sent, max(0.0, seen[n] - answered)) if n in seen else (PATIENCE, PATIENCE)
                for sent, answered, n in counted
            ]
            figures |= quantiles("pickup", [after_reply for _, after_reply in waits])
            figures |= quantiles("from_post", [after_post for after_post, _ in waits])
            figures["missing"] = sum(n not in seen for *_, n in counted)
        return figures


def quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the worst, in milliseconds."""
    if not seconds:
        return {}
    ordered = sorted(1000 * value for value in seconds)
    last = len(ordered) - 1
    return {
        f"{name}_p50": ordered[last // 2],
        f"{name}_p99": ordered[round(last * 0.99)],
        f"{name}_worst": ordered[-1],
    }


if __name__ == "__main__":
    print(json.dumps(Load(Plan(**json.loads(sys.argv[1]))).run()))
