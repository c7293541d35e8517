"""Who really gets what is written to an address: a pure rule. Keeps a copy of the service from writing to its users.

`NOTIFICATIONS_REDIRECT_TO` is the one address that gets everything. `NOTIFICATIONS_ALLOWED_RECIPIENTS` are the
addresses and domains that get their own; the rest is redirected if there is somewhere to, and otherwise not sent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Self

from django.core.exceptions import ValidationError

from .channels.address import clean_address
from .conf import notification_settings

NOT_ALLOWED = "The recipient is not in NOTIFICATIONS_ALLOWED_RECIPIENTS."


@dataclass(frozen=True, slots=True)
class Redirect:
    """A rule for recipients. `Redirect()` lets everybody have their own."""

    to: str = ""
    allowed: frozenset[str] | None = None  # in `_key` form; None: no list, so `to` decides alone

    @classmethod
    def from_settings(cls, to: str, allowed: Iterable[str]) -> Self:
        """Raises ValueError with what is no address, and no `@domain`."""
        entries = frozenset(_key(_clean(entry)) for entry in allowed)
        return cls(_clean(to, domain=False) if to else "", entries or None)

    def real(self, recipient: str) -> str | None:
        """The address that gets it instead, or the same one; None: nobody."""
        if self.allowed is not None:
            key = _key(recipient)
            if key in self.allowed or key[key.rfind("@") :] in self.allowed:
                return recipient
            return self.to or None
        return self.to or recipient


NOBODY_ELSE = Redirect()


def current() -> Redirect:
    """The rule of the settings. Raises ValueError as `from_settings` does."""
    settings = notification_settings()
    return _made(settings.redirect_to, settings.allowed_recipients)


@cache
def _made(to: str, allowed: Iterable[str]) -> Redirect:
    return Redirect.from_settings(to, allowed)


def _clean(entry: str, *, domain: bool = True) -> str:
    try:
        if domain and entry.startswith("@"):
            return clean_address(f"anybody{entry}").removeprefix("anybody")
        return clean_address(entry)
    except ValidationError as error:
        raise ValueError(f"{entry!r} is neither an address nor an @domain") from error


def _key(address: str) -> str:
    # Local parts may differ by case alone, but nobody who writes such a list means that.
    return address.casefold()
