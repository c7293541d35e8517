"""Four clusters on one PostgreSQL against one: the same backlog, the same two cores."""

from ..stage import Stage
from .base import Figures, Scale, Workload, drain


class Clusters(Workload):
    name = "clusters"
    title = "Four clusters on one PostgreSQL against one"
    fresh = True
    at_most = 2
    quick = False
    columns = {"one": "1 cluster, jobs/s", "four": "4 clusters, jobs/s", "ratio": "ratio"}

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        number = max(200, int(stage.system.drain_size * scale.drain_share))
        rates = {}
        for name, clusters in (("one", 1), ("four", 4)):
            stage.fill(number)
            rates[name] = drain(stage, number, timeout=150, clusters=clusters).per_second
            stage.stop_workers()
        return rates | {"ratio": rates["four"] / rates["one"]}
