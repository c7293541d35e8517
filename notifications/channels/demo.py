"""The demo channel: the log channel with a fate, to see slow and failing work. Only development configures it."""

import time
from collections.abc import Sequence

from ..exceptions import DeliveryError
from .base import Message, SendResult
from .log import LogChannel


class DemoChannel(LogChannel):
    """Takes its time, fails as often as it is told, and then writes the log channel's line.

    Options beside `path`: `seconds` that each message takes (0), and `failures`, how many attempts fail before one
    succeeds (0).
    """

    concurrent = True  # it waits, like one that talks to a server

    def send(self, messages: Sequence[Message]) -> list[SendResult]:
        return [self._send(message) for message in messages]

    def _send(self, message: Message) -> SendResult:
        time.sleep(self.options.get("seconds", 0))
        if message.attempt <= self.options.get("failures", 0):
            return SendResult.of(DeliveryError("The other side of the demonstration did not answer."))
        return super().send([message])[0]
