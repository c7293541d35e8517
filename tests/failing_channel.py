"""A channel that fails as badly as one can: its errors quote the address and the text."""

from notifications.channels import Message
from notifications.channels.address import clean_address
from notifications.channels.base import BaseChannel
from notifications.exceptions import DeliveryError


class FailingChannel(BaseChannel):
    def clean_recipient(self, recipient: str) -> str:
        return clean_address(recipient)

    def send_one(self, message: Message) -> None:
        if message.attempt == 1:
            raise DeliveryError(f"cannot reach {message.recipient} with {message.body}")
        raise RuntimeError(f"refused: {message.recipient}")
