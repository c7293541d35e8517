"""A flood of sends that take 0.5 s each, and quick ones beside it, with two worker processes."""

import time

from ..stage import Stage
from .base import Figures, Scale, Workload

FLOOD = 3000


class Slow(Workload):
    name = "slow"
    title = "Slow channel (0.5 s a send), a quick one beside it"
    fresh = True
    at_most = 1
    columns = {
        "slow_per_second": "slow sends/s",
        "pickup_p50": "quick: reply → line, p50 ms",
        "pickup_p99": "p99 ms",
        "missing": "quick ones not done",
    }

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        stage.warm_up()
        stage.settle()
        stage.fill(FLOOD, "s")
        time.sleep(1.5)  # the flood has reached the workers
        began, before = time.monotonic(), stage.slow_lines()
        figures = stage.load(
            clients=2, rate=10, seconds=scale.slow_seconds, watch=str(stage.log), start=50_000_000
        )
        per_second = (stage.slow_lines() - before) / (time.monotonic() - began)
        return {"slow_per_second": per_second} | {key: figures[key] for key in self.columns if key in figures}

    def note(self, figures: dict[str, list[Figures]]) -> str:
        return (
            "\nA quick one that was not done when the run ended, five seconds after the last request, counts as "
            "5000 ms. Everybody has one queue and two worker processes here; peers can be given a second queue "
            "for slow work, or more threads, by whoever sets them up.\n"
        )
