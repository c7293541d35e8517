"""Channels whose work is long enough to be killed in. The first word of a message says how it behaves."""

import os
import select
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from notifications.channels import Message, SendResult
from notifications.channels.log import LogChannel
from notifications.exceptions import DeliveryError

SECONDS = {"steady": 0.005, "slow": 0.4, "long": 6.5}  # long: more than two leases
FLAKY_ATTEMPTS = 2  # so many attempts fail before one succeeds


def busy_folder(log_file: Path) -> Path:
    """Holds one file for each process that is in the middle of a send, named by its id."""
    return log_file.parent / "busy"


def _wait(seconds: float) -> None:
    select.select([], [], [], seconds)  # time.sleep() fails under libfaketime


class ChaosChannel(LogChannel):
    """Writes one line after the other, so that a kill leaves half a batch written."""

    def send(self, messages: Sequence[Message]) -> list[SendResult]:
        return [self._send(message) for message in messages]

    def _send(self, message: Message) -> SendResult:
        kind = message.body.split()[0]
        if kind == "flaky" and message.attempt <= FLAKY_ATTEMPTS:
            return SendResult.of(DeliveryError("busy"))
        if kind not in SECONDS:
            return super().send([message])[0]
        with self._busy():
            _wait(SECONDS[kind] / 2)
            result = super().send([message])[0]
            _wait(SECONDS[kind] / 2)
        return result

    @contextmanager
    def _busy(self) -> Iterator[None]:
        mark = busy_folder(self.path) / str(os.getpid())
        mark.touch()
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)


class NetworkChannel(ChaosChannel):
    """The same as one that waits on the network: each on a thread of its own."""

    concurrent = True


class HeldChannel(NetworkChannel):
    """The same, where the connection dies after the work of every other one, and before its answer."""

    def _send(self, message: Message) -> SendResult:
        result = super()._send(message)
        number = int(message.body.split()[1].removesuffix("."))
        if result.sent and number % 2 and message.attempt == 1:
            return SendResult.of(DeliveryError("the connection broke", unknown=True))
        return result


class PoisonChannel(LogChannel):
    """Kills whoever tries to send it."""

    def send(self, messages: Sequence[Message]) -> list[SendResult]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []
