"""A backlog lies ready, the workers start: jobs a second until the last is done and recorded."""

from ..stage import Stage
from .base import Figures, Scale, Workload, drain


class Drain(Workload):
    name = "drain"
    title = "Drain: a backlog is ready, two worker processes start"
    columns = {"per_second": "jobs/s", "cpu_per_1000": "worker CPU s / 1000", "doubled": "run twice"}

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        number = max(200, int(stage.system.drain_size * scale.drain_share))
        stage.fill(number)
        drained = drain(stage, number, timeout=150)
        return {
            "per_second": drained.per_second,
            "cpu_per_1000": drained.cpu_per_1000,
            "doubled": drained.doubled,
        }
