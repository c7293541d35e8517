"""A channel whose server takes half a second to answer."""

import time

from notifications.channels.base import BaseChannel, Message

from .job import SLOW_SECONDS, append


class SlowChannel(BaseChannel):
    concurrent = True  # it waits for somebody else

    def send_one(self, message: Message) -> None:
        time.sleep(SLOW_SECONDS)
        append(self.options["path"], f"notification for {message.recipient}: {message.body}\n")
