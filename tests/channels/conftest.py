"""What tests of channels may use."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from notifications.channels import BaseChannel, channels

from .receiver import Receiver, receiving

BACKEND = "notifications.channels.email.EmailChannel"
SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def email(settings: Any) -> Callable[..., BaseChannel]:
    """The channel over servers at these ports, in this order."""

    def make(*ports: int, **options: Any) -> BaseChannel:
        aliases = ["default", "backup"][: len(ports)]
        settings.MAILERS = {
            alias: {"BACKEND": SMTP, "OPTIONS": {"host": "127.0.0.1", "port": port}}
            for alias, port in zip(aliases, ports, strict=True)
        }
        options = {"mailers": aliases, "from_email": "Shop <shop@example.org>", "timeout": 20} | options
        settings.CHANNELS = {**settings.CHANNELS, "email": {"BACKEND": BACKEND, "OPTIONS": options}}
        return channels["email"]

    return make
