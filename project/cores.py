"""Which core a web process stays on, where it stays on one (nginx: `worker_cpu_affinity auto`).

Note [One core each]: of the threads of a process one at a time runs Python, so a second core makes them no faster; and
a thread that wakes up on the other core finds nothing there of what it works with. The same service answers a
fifth to a half more requests when each process stays where it is. That takes as many processes as there are cores, or
a multiple: with fewer the kernel knows better which cores are free, with other numbers some would have to share
what others have alone.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterable


def core_for(processes: int, taken: Iterable[int | None], cores: Collection[int]) -> int | None:
    """The core of the next of so many processes: the least taken, the lowest of these. None: any. Note [One core each]

    `taken` are the cores of those that run; they may be more than `processes` while old ones make way for new ones.
    """
    if len(cores) < 2 or processes % len(cores):
        return None
    number = Counter(taken)
    return min(cores, key=lambda core: (number[core], core))


def available() -> frozenset[int]:
    """The cores that this process may use. Empty where the system does not say, nor let anybody choose: macOS."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def stay_on(core: int) -> None:
    """Keep this process, and the threads it will have, on one core."""
    os.sched_setaffinity(0, {core})
