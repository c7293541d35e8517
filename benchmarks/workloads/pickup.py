"""20 requests a second: how long after the answer the line is in the file."""

from ..stage import Stage
from .base import Figures, Scale, Workload


class Pickup(Workload):
    name = "pickup"
    title = "Pickup at 20 requests a second"
    columns = {
        "pickup_p50": "reply → line, p50 ms",
        "pickup_p99": "p99 ms",
        "from_post_p50": "POST → line, p50 ms",
        "from_post_p99": "p99 ms",
        "missing": "never came",
    }

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        stage.warm_up()
        stage.settle()
        figures = stage.load(
            clients=2, rate=20, seconds=scale.pickup_seconds, watch=str(stage.log), start=10_000_000
        )
        return {key: figures[key] for key in (*self.columns, "cpu_share")}
