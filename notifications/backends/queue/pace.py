"""How long calls take of late, and so how much of a kind a worker is given at once."""

from django_q.conf import Conf

from .package import Target
from .processes import LARGEST_JOB

QUICK = 0.05  # seconds: behind a job expected to take no longer, the next may wait in the worker
CHUNK = 0.02  # seconds of work of quick calls that are handed out together
LEAST = 1e-4  # seconds a call is taken to last at least
HANDFUL = 25  # quick entries that are not divided among workers. Note [Batches under load]


class Pace:
    """Learns from reports. What is unknown counts as slow, so it is tried alone first."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def learn(self, path: str, seconds: float) -> None:
        """Slower at once, quicker by and by."""
        before = self._seconds.get(path, seconds)
        self._seconds[path] = max(seconds, (3 * before + seconds) / 4)

    def is_quick(self, path: str, calls: int) -> bool:
        return self._seconds.get(path, QUICK) * calls < QUICK

    def room(self, target: Target) -> int:
        """How many entries of this kind make a job: all there are where they merge, else CHUNK's worth."""
        most = min(int(Conf.BULK), LARGEST_JOB)
        if target.mergeable:
            return most
        return max(1, min(most, int(CHUNK / max(self._seconds.get(target.path, CHUNK), LEAST))))

    def least(self, target: Target) -> int:
        """How few entries of this kind may make a job while there are more. Note [Batches under load]"""
        return HANDFUL if target.mergeable and self.is_quick(target.path, 1) else 1
