"""The bulk endpoint: 1000 notifications a request, two clients, workers stopped."""

from ..processes import ProcessFailed
from ..stage import Stage
from .base import Figures, NotThere, Scale, Workload

ITEMS = 1000


class Bulk(Workload):
    name = "bulk"
    title = "Bulk POST, 1000 a request"
    fresh = True
    at_most = 2
    columns = {"accepted_per_second": "accepted/s", "reply_p50": "p50 ms a request"}

    def measure(self, stage: Stage, scale: Scale) -> Figures:
        stage.start_web()
        try:
            figures = stage.load(
                path="/api/v1/notifications/bulk",
                clients=2,
                seconds=scale.seconds,
                warmup=0,
                bulk=ITEMS,
                start=30_000,
            )
        except ProcessFailed as error:
            if "HTTP/1.1 404" in str(error):
                raise NotThere("the bulk endpoint does not exist yet") from None
            raise
        return {
            "accepted_per_second": figures["per_second"] * ITEMS,
            "reply_p50": figures["reply_p50"],
        }
