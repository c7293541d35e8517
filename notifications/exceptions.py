"""Every error of our own that crosses a room's border. No room above is imported here."""

from collections.abc import Mapping
from datetime import timedelta


class DeliveryError(Exception):
    """A channel could not send. The only error that may cross the channel border.

    `permanent` says that trying again cannot help. `retry_after` is the other side's own wish
    (HTTP Retry-After and the like); the retry policy never comes back earlier than that. `unknown` says that
    the message may have arrived all the same. `code` and `response` are the other side's answer, `phase` is
    how far it came. `bounced` says that the other side knows nobody at this address, and never will.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: timedelta | None = None,
        unknown: bool = False,
        code: str = "",
        response: str = "",
        phase: str = "",
        bounced: bool = False,
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
        self.unknown = unknown
        self.code = code
        self.response = response
        self.phase = phase
        self.bounced = bounced


class InvalidStatus(Exception):
    """The notification's status does not allow what was asked for (cancel what is already being sent)."""


class RecipientLimitReached(Exception):
    """This recipient has been sent as many notifications as settings allow in an hour or on a day."""

    def __init__(self, window: str, limit: int, retry_after: timedelta) -> None:
        super().__init__(f"This recipient gets at most {limit} notifications in one {window}.")
        self.retry_after = retry_after


class BatchRefused(Exception):
    """Of a batch that is accepted as a whole or not at all, these items could not be. `errors` is by position."""

    def __init__(self, errors: Mapping[int, Exception]) -> None:
        super().__init__(f"{len(errors)} of the notifications cannot be accepted; none was.")
        self.errors = errors
