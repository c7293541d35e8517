"""A rate as settings write it: so many requests in a second, a minute, an hour or a day."""

import re
from dataclasses import dataclass
from typing import Self

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 24 * 3600}
FORM = re.compile(rf"([1-9][0-9]*)/({'|'.join(SECONDS)})")


@dataclass(frozen=True, slots=True)
class Rate:
    requests: int  # 1 or more: a rate of none would let nobody in
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """ "100/minute"; "" is None, no limit. Raises ValueError for anything else."""
        if not text:
            return None
        found = FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no rate. Write it as in 100/minute, or leave it empty.")
        return cls(int(found[1]), SECONDS[found[2]])
