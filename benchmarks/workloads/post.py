"""Eight clients, each sending as soon as it has its answer, while the workers run."""

from ..stage import Stage
from .base import Figures, Scale, Workload


class Post(Workload):
    name = "post"
    title = "POST: 8 clients in a closed loop, workers running"
    columns = {
        "per_second": "requests/s",
        "reply_p50": "p50 ms",
        "reply_p99": "p99 ms",
        "web_us": "web CPU µs / request",
    }

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        stage.warm_up()
        figures = stage.load(seconds=scale.seconds + 0.5, start=20_000_000)
        return {key: figures[key] for key in (*self.columns, "cpu_share")}
