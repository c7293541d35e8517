"""What the cluster's processes share: how one is born and dies, the memory it shows, the socket it speaks on.

Note [Who dies with whom]: every child is killed by the kernel when its parent dies (PR_SET_PDEATHSIG), so
nothing goes on working after a `kill -9`. Signals of the group reach every child; only the main process
minds them, the others are told by it. A handler that does nothing is used, not SIG_IGN, because a program
that a task starts would inherit that.

Note [No shared locks]: a multiprocessing queue is guarded by a lock in shared memory, and whoever is killed
while holding it stops everybody else for good. So each worker has a socket of its own, and memory only it
writes.
"""

import ctypes
import fcntl
import mmap
import os
import pickle
import signal
import socket
import struct
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from django.db import connections

PR_SET_PDEATHSIG = 1
LENGTH = struct.Struct("!I")
LARGEST_JOB = 1000  # entries


def become_child(parent: int, title: str) -> None:
    """Set up this fresh process: die with `parent` (a pid), leave the group's signals to the main process."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _do_nothing)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
    set_title(title)


def set_title(title: str) -> None:
    from django_q.conf import setproctitle

    if setproctitle:
        setproctitle.setproctitle(title)


def close_connections() -> None:
    """Before a fork: neither a connection nor psycopg's pool and its threads may be inherited."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()


def _do_nothing(signum: int, frame: FrameType | None) -> None:
    pass


class Lock:
    """Held by one process of the cluster at a time; the others wait. Made before the fork.

    The kernel keeps it for a process, and frees it when that dies: see Note [No shared locks].
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (for as long as the lock)

    def __enter__(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(self, *error: object) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)


class Slot:
    """What one worker holds, in memory that outlives it: the worker writes, everybody reads.

    So whoever finds it dead knows what it was doing, and whoever watches knows since when.
    """

    COUNT, INDEX, LENGTH, STARTED, LIMIT, STOP, HEADER = range(7)

    def __init__(self, fd: int | None = None) -> None:
        size = (self.HEADER + LARGEST_JOB) * 8
        if fd is None:
            with tempfile.TemporaryFile() as file:
                file.truncate(size)
                self.fd = os.dup(file.fileno())
        else:
            self.fd = fd
        self._memory = mmap.mmap(self.fd, size)
        self._cells = memoryview(self._memory).cast("q")

    def take(self, pks: Sequence[int]) -> None:
        self._cells[self.STARTED] = 0
        self._cells[self.HEADER : self.HEADER + len(pks)] = array("q", pks)
        self._cells[self.COUNT] = len(pks)

    def start(self, index: int, length: int, limit: float | None) -> None:
        """The call of `length` entries from `index` on begins; it may take `limit` seconds."""
        cells = self._cells
        cells[self.INDEX], cells[self.LENGTH] = index, length
        cells[self.LIMIT] = int(limit * 1e9) if limit else 0
        cells[self.STARTED] = time.monotonic_ns()

    def end(self) -> None:
        self._cells[self.STARTED] = 0

    def drop(self) -> None:
        self._cells[self.COUNT] = 0

    def ask_to_stop(self) -> None:
        self._cells[self.STOP] = 1

    @property
    def must_stop(self) -> bool:
        return bool(self._cells[self.STOP])

    @property
    def overtime(self) -> bool:
        started, limit = self._cells[self.STARTED], self._cells[self.LIMIT]
        return bool(started and limit and time.monotonic_ns() - started > limit)

    @property
    def held(self) -> list[int]:
        return list(self._cells[self.HEADER : self.HEADER + self._cells[self.COUNT]])

    @property
    def running(self) -> list[int]:
        """The entries of the call that is being made; empty between two calls."""
        if not self._cells[self.STARTED]:
            return []
        index = self._cells[self.INDEX]
        return self.held[index : index + self._cells[self.LENGTH]]

    @property
    def started(self) -> float:
        """When, by `time.monotonic()`, the call that is being made began."""
        return self._cells[self.STARTED] / 1e9

    @property
    def begun(self) -> set[int]:
        """All entries of the job up to the call that is being made, or was made last."""
        return set(self.held[: self._cells[self.INDEX] + self._cells[self.LENGTH]])

    def close(self) -> None:
        self._cells.release()
        self._memory.close()
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class Job:
    """Entries for one worker: `(pk, payload)`. A call not begun by `start_before` goes back unbegun.

    The clock is `time.monotonic()`, which all processes of a host share. So the pusher knows, without asking
    a worker that is stuck, that what comes after the stuck call can be given to others.
    """

    start_before: float
    entries: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a job's entries: all others are done and acknowledged."""

    unbegun: list[int]
    unknown: dict[int, str]  # why this version cannot run it
    seconds: float  # spent in calls
    leaving: bool


class Wire:
    """Whole messages over a stream socket. The worker waits on it; the pusher never does."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._out = bytearray()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: Any) -> None:
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self.socket.sendall(LENGTH.pack(len(body)) + body)

    def post(self, message: Any) -> None:
        """Send what the socket takes, keep the rest for `flush`. A worker that does not read holds up nobody."""
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._out += LENGTH.pack(len(body)) + body
        self.flush()

    def flush(self) -> None:
        while self._out:
            try:
                sent = self.socket.send(self._out, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            del self._out[:sent]

    @property
    def has_more(self) -> bool:
        return bool(self._out)

    def receive(self) -> Any:
        """The next message. Raise EOFError when the other side is gone, in the middle of one or not."""
        (size,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return pickle.loads(self._exactly(size))  # noqa: S301  (a socket pair between parent and child)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                part = self.socket.recv(size - len(data))
            except ConnectionError as error:
                raise EOFError from error
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def close(self) -> None:
        self.socket.close()
