"""What a workload is: it drives one stage and returns figures."""

import time
from dataclasses import dataclass
from typing import ClassVar

from ..processes import ProcessFailed
from ..stage import Stage

Figures = dict[str, float]

STALLED = 20.0  # seconds without a new line after which a drain is given up


@dataclass(frozen=True, slots=True)
class Scale:
    """How long and how much. The quick round is for a look, the full one for the record."""

    repetitions: int
    seconds: float  # of a closed loop
    pickup_seconds: float
    drain_share: float  # of a system's own drain size
    busy_backlog: int
    backlogs: tuple[int, ...]
    slow_seconds: float


FULL = Scale(3, 4.0, 8.0, 1.0, 60_000, (1_000, 1_000_000), 6.0)
QUICK = Scale(1, 1.5, 2.5, 0.3, 20_000, (1_000, 50_000), 3.0)


class NotThere(Exception):
    """The system does not have what this workload measures. The message says what."""


class Workload:
    """One thing to measure. Those with `fresh` get a stage of their own, the others share one in this order."""

    name: str
    title: str
    fresh = False
    quick = True  # part of the quick round
    at_most = 3  # repetitions; fewer for what takes long and compares with itself
    columns: ClassVar[dict[str, str]]  # figure → heading

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        raise NotImplementedError

    def note(self, figures: dict[str, list[Figures]]) -> str:
        """What the reader of its table has to know."""
        return ""


@dataclass(frozen=True, slots=True)
class Drained:
    """A backlog that was worked off. The first twentieth is not counted: processes are still starting."""

    per_second: float
    last_tenth_per_second: float
    cpu_per_1000: float
    doubled: int


def drain(stage: Stage, number: int, timeout: float, clusters: int = 1) -> Drained:
    """Start the workers on what lies waiting and see `number` more lines arrive, recorded where rows are kept.

    Raises ProcessFailed when it stalls or takes longer than `timeout` seconds.
    """
    base = stage.written - number
    stage.start_workers(clusters)
    began = last_growth = time.monotonic()
    seen = 0
    marks: dict[str, tuple[float, int, float]] = {}
    while True:
        lines, now = stage.lines() - base, time.monotonic()
        if lines > seen:
            seen, last_growth = lines, now
            if "start" not in marks and seen >= number / 20:
                marks["start"] = now, seen, stage.worker_cpu()
            if "late" not in marks and seen >= number * 0.9:
                marks["late"] = now, seen, 0.0
        if seen >= number and stage.system.settled(stage):
            break
        stage.check()
        if now - last_growth > STALLED or now - began > timeout:
            raise ProcessFailed(f"{seen} of {number} after {now - began:.0f} s")
        time.sleep(0.002)
    end, cpu = time.monotonic(), stage.worker_cpu()
    start_at, start_lines, start_cpu = marks["start"]
    late_at, late_lines, _ = marks["late"]
    return Drained(
        per_second=(number - start_lines) / max(end - start_at, 1e-3),
        last_tenth_per_second=(number - late_lines) / max(end - late_at, 1e-3),
        cpu_per_1000=1000 * (cpu - start_cpu) / max(number - start_lines, 1),
        doubled=stage.lines() - base - number,
    )
