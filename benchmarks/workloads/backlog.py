"""What a growing backlog costs: a POST, a pickup and a drained job with 1000 waiting, and with many more.

"Waiting" means two things. POST and pickup are measured with so many notifications scheduled for tomorrow and
the workers running; the drain works off so many that are due. A drain of 1000 is over in a tenth of a second,
so its smallest is 20 000.
"""

import sys
from contextlib import ExitStack
from statistics import median

from ..stage import Stage
from .base import Figures, Scale, Workload, drain

SMALLEST_DRAIN = 20_000
TURNS = 3


class Backlog(Workload):
    name = "backlog"
    title = "Cost against the size of the backlog (1 = the cost at 1000)"
    fresh = True
    at_most = 1
    quick = False
    columns = {
        "post": "a POST",
        "pickup": "from POST to line, p50",
        "drain": "a drained job",
        "last": "a job of its last tenth",
        "waiting": "waiting",
    }

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        figures = self._beside(stage, scale)
        for waiting in scale.backlogs:
            due = max(waiting, SMALLEST_DRAIN)
            with Stage(stage.system) as full:
                full.fill(due)
                drained = drain(full, due, timeout=60 + due / 500)
            figures |= {
                f"drain_{due}": 1000 / drained.per_second,
                f"last_{due}": 1000 / drained.last_tenth_per_second,
            }
        return figures | self._relative(figures, scale)

    def _beside(self, stage: Stage, scale: Scale) -> Figures:
        """POST and pickup with each backlog, all of them up at the same time and measured in turns: medians."""
        found: dict[str, list[float]] = {}
        with ExitStack() as open_stages:  # the first that is left ends the processes of all
            stages = []
            for waiting in scale.backlogs:
                scheduled = open_stages.enter_context(Stage(stage.system))
                scheduled.run([sys.executable, "-m", "benchmarks.sites.schedule", str(waiting)], "schedule")
                scheduled.warm_up()
                scheduled.settle()
                stages.append((waiting, scheduled))
            for turn in range(TURNS):
                for waiting, scheduled in stages:
                    pickup = scheduled.load(
                        clients=2,
                        rate=20,
                        seconds=scale.pickup_seconds / 2,
                        watch=str(scheduled.log),
                        start=10_000_000 + turn * 100_000,
                    )
                    post = scheduled.load(seconds=scale.seconds, start=20_000_000 + turn * 100_000)
                    scheduled.settle()
                    found.setdefault(f"pickup_{waiting}", []).append(pickup["from_post_p50"])
                    found.setdefault(f"post_{waiting}", []).append(1000 / post["per_second"])
        return {name: median(values) for name, values in found.items()}

    def _relative(self, figures: Figures, scale: Scale) -> Figures:
        small, large = scale.backlogs[0], scale.backlogs[-1]
        one, all_due = (max(waiting, SMALLEST_DRAIN) for waiting in (small, large))
        return {
            "post": figures[f"post_{large}"] / figures[f"post_{small}"],
            "pickup": figures[f"pickup_{large}"] / figures[f"pickup_{small}"],
            "drain": figures[f"drain_{all_due}"] / figures[f"drain_{one}"],
            "last": figures[f"last_{all_due}"] / figures[f"drain_{one}"],
            "waiting": large,
        }

    def note(self, figures: dict[str, list[Figures]]) -> str:
        """The figures behind the ratios."""
        lines = []
        for system, runs in figures.items():
            for key, value in runs[-1].items():
                name, _, waiting = key.partition("_")
                if waiting:
                    lines.append(f"{system} {name} at {int(waiting):,}: {value:.3g} ms".replace(",", " "))
        return "\n" + "; ".join(lines) + ".\n"
