"""POST while a backlog drains: the door must not wait for the workers."""

import time

from ..stage import LINE_LENGTH, Stage
from .base import Figures, Scale, Workload

LIMIT = 12.0  # seconds; slower systems are still draining then


class BusyPost(Workload):
    name = "busy_post"
    title = "POST (8 clients) while a backlog drains"
    fresh = True
    at_most = 2
    columns = {
        "reply_p50": "p50 ms",
        "reply_p99": "p99 ms",
        "reply_worst": "worst ms",
        "per_second": "requests/s",
        "drained_per_second": "lines/s meanwhile",
    }

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        number = scale.busy_backlog
        stage.fill(number)
        stage.start_web()
        stage.load(seconds=0.5, warmup=0, start=1_000_000)
        stage.start_workers()
        while not stage.lines():
            stage.check()
            time.sleep(0.01)
        began, first = time.monotonic(), stage.lines()
        end = {"stop_file": str(stage.log), "stop_size": number * LINE_LENGTH}
        figures = stage.load(seconds=LIMIT, warmup=0, start=40_000_000, **end)
        elapsed = time.monotonic() - began
        return {key: figures[key] for key in self.columns if key in figures} | {
            "drained_per_second": (stage.lines() - first) / elapsed
        }
