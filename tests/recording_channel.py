"""A channel for tests: it keeps what it was given, and does what a test told it to do with each recipient."""

from collections.abc import Callable, Sequence

from notifications.channels import BaseChannel, Message, SendResult
from notifications.channels.address import clean_address

batches: list[list[Message]] = []
behaviours: dict[str, Callable[[Message], None]] = {}


def forget() -> None:
    batches.clear()
    behaviours.clear()


def sent() -> list[Message]:
    return [message for batch in batches for message in batch]


class RecordingChannel(BaseChannel):
    def clean_recipient(self, recipient: str) -> str:
        return clean_address(recipient)

    def send(self, messages: Sequence[Message]) -> list[SendResult]:
        batches.append(list(messages))
        return super().send(messages)

    def send_one(self, message: Message) -> None:
        if behaviour := behaviours.get(message.recipient):
            behaviour(message)


class WaitingChannel(RecordingChannel):
    """The same, for sends that wait on the network."""

    concurrent = True
