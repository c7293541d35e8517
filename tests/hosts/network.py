"""The network between one host and the database: a TCP proxy that can be cut, and that remembers what was said.

A proxy and not a network namespace, because it needs no rights and runs everywhere. A host "behind" it knows the
database by the proxy's port only.
"""

import socket
import struct
import threading
from contextlib import suppress

CHUNK = 65536
# SO_LINGER: close() sends RST, as a router does that knows nothing of a connection.
RESET = struct.pack("ii", 1, 0)


class Network:
    """Forwards to `address` until it is cut. One for a host; `close` it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.said = bytearray()  # all that the host has sent
        self.flows = threading.Event()
        self.flows.set()
        self.refuses = False
        self.sockets: set[socket.socket] = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"network {self.port}", daemon=True).start()

    def cut(self, *, silently: bool) -> None:
        """Reset all connections and refuse new ones; or silently: nothing arrives any more, and nobody is told."""
        if silently:
            self.flows.clear()
            return
        self.refuses = True
        for end in list(self.sockets):
            _reset(end)

    def mend(self) -> None:
        """What was held up arrives now, late, on the connections that are still there."""
        self.refuses = False
        self.flows.set()

    def times_said(self, text: str) -> int:
        """How often the host has sent this text to the database (Django's statements go there as they are)."""
        return bytes(self.said).count(text.encode())

    def close(self) -> None:
        self.refuses = True
        self.flows.set()
        self.listener.close()
        for end in list(self.sockets):
            _reset(end)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                host, _ = self.listener.accept()
                if self.refuses:
                    _reset(host)
                    continue
                threading.Thread(target=self._connect, args=(host,), daemon=True).start()

    def _connect(self, host: socket.socket) -> None:
        self.sockets.add(host)
        self.flows.wait()
        with suppress(OSError), socket.create_connection(self.address) as database:
            self.sockets.add(database)
            back = threading.Thread(target=self._pump, args=(database, host), daemon=True)
            back.start()
            self._pump(host, database, remember=True)
            back.join()
            self.sockets.discard(database)
        host.close()
        self.sockets.discard(host)

    def _pump(self, source: socket.socket, target: socket.socket, *, remember: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self.flows.wait()
                if remember:
                    self.said += data
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.shutdown(socket.SHUT_RD)  # wakes the thread that reads it
        end.close()
