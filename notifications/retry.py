"""When to try again: pure. An attempt number and an error go in, a delay or None comes out.

Exponential backoff with full jitter: the delay is drawn evenly between zero and the backoff, so that
everything that failed together does not come back together.
"""

import random
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long. By channel: `CHANNELS[alias]["RETRY"]`, with these names in upper case."""

    max_attempts: int = 5
    base: timedelta = timedelta(seconds=2)  # the backoff after the first attempt; it doubles each time
    cap: timedelta = timedelta(minutes=15)  # the longest backoff
    max_age: timedelta = timedelta(days=1)  # from accept (or due time) to the last attempt's start

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Self:
        """Raises ValueError naming the option that is unknown, or that makes no sense."""
        names = {field.name.upper(): field.name for field in fields(cls)}
        if unknown := options.keys() - names.keys():
            raise ValueError(f"unknown option {sorted(unknown)[0]!r}; known are {', '.join(sorted(names))}")
        policy = cls(**{names[key]: value for key, value in options.items()})
        if not isinstance(policy.max_attempts, int) or policy.max_attempts < 1:
            raise ValueError("MAX_ATTEMPTS must be a whole number, at least 1")
        for name in ("base", "cap", "max_age"):
            if not isinstance(getattr(policy, name), timedelta) or getattr(policy, name) < timedelta(0):
                raise ValueError(f"{name.upper()} must be a timedelta that is not negative")
        return policy

    def backoff(self, attempt: int) -> timedelta:
        """The longest delay after this attempt (1 for the first)."""
        # Beyond 32 doublings any sensible base is past its cap. The product might be too long for a timedelta.
        factor: int = 2 ** min(attempt - 1, 32)
        return self.cap if self.base > self.cap / factor else self.base * factor

    def delay(
        self,
        attempt: int,
        *,
        age: timedelta,
        permanent: bool = False,
        retry_after: timedelta | None = None,
    ) -> timedelta | None:
        """How long to wait before the next attempt, or None to give up.

        `attempt` is the number of the one that failed, `age` the time since the notification was due.
        A `retry_after` from the other side is a lower bound, and may exceed the cap but not the age.
        """
        if permanent or attempt >= self.max_attempts:
            return None
        delay = self.backoff(attempt) * random.random()  # noqa: S311 (jitter is no secret)
        if retry_after is not None:
            delay = max(delay, retry_after)
        return None if age + delay > self.max_age else delay
