"""The run: which system does which workload how often, interleaved, and what it came to."""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from .processes import ProcessFailed
from .servers import UNREACHABLE
from .stage import Stage
from .systems.base import System
from .workloads.base import Figures, NotThere, Scale, Workload


@dataclass(slots=True)
class Results:
    """Figures by workload and system, one dictionary a repetition; and the reason where there are none."""

    figures: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    absent: dict[str, dict[str, str]] = field(default_factory=dict)  # workload → system → why
    skipped: dict[str, str] = field(default_factory=dict)  # system → which server was missing

    def add(self, workload: str, system: str, figures: Figures) -> None:
        self.figures.setdefault(workload, {}).setdefault(system, []).append(figures)

    def values(self, workload: str, system: str, figure: str) -> list[float]:
        return [
            run[figure]
            for run in self.figures.get(workload, {}).get(system, [])
            if run.get(figure) is not None
        ]

    def median(self, workload: str, system: str, figure: str) -> float | None:
        values = self.values(workload, system, figure)
        return median(values) if values else None


def run(
    systems: Iterable[System], workloads: Iterable[Workload], scale: Scale, missing: dict[str, str]
) -> Results:
    """Every repetition goes through all systems before the next begins, so that a slow hour hits all alike."""
    results, present = Results(), []
    for system in systems:
        reasons = [missing[server.name] for server in system.needs if server.name in missing]
        if reasons:
            results.skipped[system.name] = reasons[0]
            say(f"skipped {system.name}: {reasons[0]}")
        else:
            present.append(system)
    chosen = list(workloads)
    groups = [[w for w in chosen if not w.fresh], *([w] for w in chosen if w.fresh)]
    for group in groups:
        for repetition in range(scale.repetitions):
            for system in present:
                todo = [
                    w
                    for w in group
                    if w.name in system.workloads
                    and repetition < min(w.at_most, scale.repetitions if system.quick else 2)
                    and system.name not in results.absent.get(w.name, {})
                ]
                if todo:
                    _measure(system, todo, scale, results, repetition)
    return results


def _measure(system: System, todo: list[Workload], scale: Scale, results: Results, repetition: int) -> None:
    """All of `todo` on one stage; when one fails, the rest on a fresh one."""
    rest = list(todo)
    while rest:
        try:
            with Stage(system) as stage:
                while rest:
                    began, workload = time.monotonic(), rest[0]
                    results.add(workload.name, system.name, workload.measure(stage, scale))
                    say(f"{workload.name} {system.name} #{repetition + 1} ({time.monotonic() - began:.1f} s)")
                    rest.pop(0)
        except (ProcessFailed, NotThere, *UNREACHABLE) as error:
            # The others' figures are worth having all the same; the results say what went wrong here.
            failed, reason = rest.pop(0), " ".join(str(error).split())
            results.absent.setdefault(failed.name, {})[system.name] = reason[-300:]
            say(f"{failed.name} {system.name}: {reason[-1000:]}")


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
