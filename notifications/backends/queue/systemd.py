"""What systemd is told of a cluster that it started: it is up, it lives, it stops (sd_notify(3)). Without it, nothing.

Note [Who lives]: the sentinel and the pusher each show that they go on, by a count in memory that they share with the
main process. Only where both have gone on since the last time does the main process say so to systemd, which
kills and starts again a cluster that says nothing for WatchdogSec. A worker that hangs is the sentinel's affair.
"""

import logging
import mmap
import os
import socket
import time
from collections.abc import MutableMapping

logger = logging.getLogger(__name__)

TIMES = 4  # as often as systemd asks for


class Pulse:
    """A count that one process increases and its relatives read. Made before they are born."""

    def __init__(self) -> None:
        self._cell = memoryview(mmap.mmap(-1, 8)).cast("q")

    def beat(self) -> None:
        self._cell[0] += 1

    @property
    def beats(self) -> int:
        return self._cell[0]


class Watch:
    """The main process's view: `look` again and again. Takes systemd's variables away from those it starts."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self.sentinel = Pulse()
        self.pusher = Pulse()
        self.address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = int(environ.pop("WATCHDOG_USEC", "0"))
        is_meant = int(environ.pop("WATCHDOG_PID", os.getpid())) == os.getpid()
        self.every = microseconds / 1e6 / TIMES if is_meant and microseconds else float("inf")
        self._seen = (0, 0)
        self._is_ready = False
        self._next = 0.0

    def look(self) -> None:
        """READY=1 once both have begun, WATCHDOG=1 when both have gone on since the last time."""
        if not self.address or time.monotonic() < self._next:
            return
        beats = (self.sentinel.beats, self.pusher.beats)
        if any(now == before for now, before in zip(beats, self._seen, strict=True)):
            return
        self.tell("WATCHDOG=1" if self._is_ready else "READY=1")
        self._seen, self._is_ready, self._next = beats, True, time.monotonic() + self.every

    def tell(self, state: str) -> None:
        if not self.address:
            return
        # "@" stands for the null byte of Linux's abstract names.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            try:
                sock.sendto(state.encode(), socket.MSG_DONTWAIT, address)
            except OSError as error:
                logger.warning("systemd=unreachable state=%s error=%s", state, error)
