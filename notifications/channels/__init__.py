"""The ways out. `channels["log"]` is the channel that CHANNELS configures under that alias."""

from contextlib import suppress
from typing import Any

from asgiref.local import Local
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.connection import BaseConnectionHandler
from django.utils.module_loading import import_string

from .base import SENT, BaseChannel, Message, SendResult

__all__ = ["SENT", "BaseChannel", "InvalidChannel", "Message", "SendResult", "channels"]


class InvalidChannel(ImproperlyConfigured):
    """The alias is not in CHANNELS, or its BACKEND cannot be used."""


class ChannelHandler(BaseConnectionHandler):
    """Aliases to channels, like Django's own `task_backends`: one instance per alias and thread."""

    settings_name = "CHANNELS"
    exception_class = InvalidChannel

    def configure_settings(self, given: dict[str, Any] | None) -> dict[str, Any]:
        """Without the setting there are no channels, which a system check says; it is no AttributeError."""
        return getattr(settings, self.settings_name, {}) if given is None else given

    def create_connection(self, alias: str) -> BaseChannel:
        params: dict[str, Any] = self.settings[alias]
        if "BACKEND" not in params:
            raise InvalidChannel(f"CHANNELS[{alias!r}] has no 'BACKEND'.")
        try:
            channel_class = import_string(params["BACKEND"])
        except ImportError as error:
            raise InvalidChannel(f"Could not find channel {params['BACKEND']!r}: {error}") from error
        if not (isinstance(channel_class, type) and issubclass(channel_class, BaseChannel)):
            raise InvalidChannel(f"{params['BACKEND']!r} is not a subclass of BaseChannel.")
        return channel_class(alias, params)

    def spellings(self, recipient: str) -> set[str]:
        """The recipient as it is given here, and as each channel would have stored it: whoever looks for one of its
        notifications has to look for all of these."""
        found = {recipient}
        for channel in self.all():
            with suppress(ValidationError):  # it is none for this channel
                found.add(channel.clean_recipient(recipient))
        return found


channels = ChannelHandler()


@receiver(setting_changed)
def forget_channels(*, setting: str, **kwargs: Any) -> None:
    if setting == "CHANNELS":
        # As Django does for its own handlers of this kind.
        channels.settings = channels.configure_settings(None)
        channels._connections = Local()  # type: ignore[attr-defined]  # noqa: SLF001
