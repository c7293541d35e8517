"""The apprise channel: Slack, Telegram, ntfy and a hundred more services, by the library of that name (optional).

CHANNELS = {"apprise": {
    "BACKEND": "notifications.channels.apprise.AppriseChannel",
    "OPTIONS": {"urls": {"ops": "slack://…"}},
}}
"""

from importlib import import_module
from types import ModuleType
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured, ValidationError

from ..exceptions import DeliveryError
from .base import BaseChannel, Message


class AppriseChannel(BaseChannel):
    """The recipient is a name in the option `urls`; a URL of a service holds its credentials, and stays in settings.

    Apprise says only whether it sent, and logs why not. So a failure is tried again, whatever it was, and nobody
    knows whether a message of which it says no has arrived all the same.
    """

    concurrent = True

    @property
    def urls(self) -> dict[str, Any]:
        urls = self.options.get("urls")
        return urls if isinstance(urls, dict) else {}

    def clean_recipient(self, recipient: str) -> str:
        if recipient not in self.urls:
            raise ValidationError("There is no such service.", code="unknown")
        return recipient

    def send_one(self, message: Message) -> None:
        """Raises ImproperlyConfigured without the library."""
        if message.recipient not in self.urls:
            # Not permanent: in a rolling deploy another worker may know the service already.
            raise DeliveryError("This version of the service does not know the recipient.", phase="address")
        apprise = _library()
        service = apprise.Apprise()
        if not service.add(self.urls[message.recipient]):
            raise DeliveryError("Apprise does not understand the service's URL.", phase="address")
        if not service.notify(body=message.body, title=message.subject, body_format="text"):
            raise DeliveryError("Apprise could not send; its log lines say why.", phase="send")

    def check(self) -> list[CheckMessage]:
        try:
            apprise = _library()
        except ImproperlyConfigured as error:
            hint = "Run: pip install -r requirements-apprise.txt"
            return [Error(f"CHANNELS[{self.alias!r}]: {error}", hint=hint, id="notifications.E041")]
        wrong = [name for name, url in self.urls.items() if not apprise.Apprise().add(url)]
        if self.urls and not wrong:
            return []
        return [
            Error(
                f"CHANNELS[{self.alias!r}]: "
                + (
                    f"no service's URL: {', '.join(map(repr, wrong))}."
                    if wrong
                    else "'urls' names no service."
                ),
                hint="Set OPTIONS['urls'] to {name: URL}, as Apprise has them.",
                id="notifications.E042",
            )
        ]


def _library() -> ModuleType:
    try:
        return import_module("apprise")
    except ImportError as error:
        raise ImproperlyConfigured("The library apprise is not installed.") from error
