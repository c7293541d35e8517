"""Work that goes on until the test lets it end: for messages that begin with "gated", a file must appear."""

import time
from collections.abc import Sequence
from pathlib import Path

from notifications.channels import Message, SendResult
from notifications.channels.log import LogChannel


class GatedChannel(LogChannel):
    def send(self, messages: Sequence[Message]) -> list[SendResult]:
        for message in messages:
            if message.body.startswith("gated"):
                self._wait(self.path.parent / message.body)
        return super().send(messages)

    def _wait(self, gate: Path) -> None:
        gate.with_suffix(".begun").touch()
        deadline = time.monotonic() + 20
        while not gate.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
