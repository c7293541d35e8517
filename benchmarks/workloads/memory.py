"""Memory of an idle service that has done some work: shared pages split among those that share them (PSS)."""

from ..servers import server_pss
from ..stage import Stage
from .base import Figures, Scale, Workload


class Memory(Workload):
    name = "memory"
    title = "Memory, idle"
    columns = {
        "web_mib": "web MiB",
        "workers_mib": "workers MiB",
        "server_mib": "its server MiB",
        "total_mib": "together MiB",
    }

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        stage.warm_up()
        stage.settle()
        figures = {"web_mib": stage.start_web().pss()}
        if stage.workers:
            figures["workers_mib"] = sum(worker.pss() for worker in stage.workers)
        for server in stage.system.needs:
            if (mib := server_pss(server)) is not None:
                figures["server_mib"] = mib
        return figures | {"total_mib": sum(figures.values())}
