"""The sentinel's word to the pusher: which workers there are, who is gone, when to stop.

A worker comes with two file descriptors: the pusher's end of its socket, and its slot.
"""

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

logger = logging.getLogger(__name__)


class Control:
    """One end of the stream between sentinel and pusher."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._data = b""
        self._fds: list[int] = []

    def fileno(self) -> int:
        return self.socket.fileno()

    def tell(self, do: str, *fds: int, **message: Any) -> None:
        line = json.dumps({"do": do, "fds": len(fds), **message}).encode() + b"\n"
        try:
            socket.send_fds(self.socket, [line], list(fds))
        except ConnectionError:
            logger.debug("pusher=gone")  # the sentinel's next look sees its death

    def receive(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What has been told: `(do, message)`, with the descriptors as `fds`. Raise EOFError: the other is gone."""
        data, fds, _, _ = socket.recv_fds(self.socket, 65536, 64)
        if not data:
            raise EOFError
        self._fds += fds
        *lines, self._data = (self._data + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            count = message.pop("fds")
            mine, self._fds = self._fds[:count], self._fds[count:]
            yield message.pop("do"), ({"fds": mine, **message} if mine else message)

    def close(self) -> None:
        self.socket.close()
