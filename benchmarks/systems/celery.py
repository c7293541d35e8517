"""Celery 5 on Redis and on RabbitMQ, acknowledging early (its default) and late."""

import sys
from typing import TYPE_CHECKING

from ..servers import PREFIX, RABBITMQ, REDIS
from .base import ANY, System

if TYPE_CHECKING:
    from ..stage import Stage


class Celery(System):
    site = "celery_site"
    drain_size = 4000

    def __init__(self, broker: str, *, late: bool) -> None:
        self.broker, self.late = broker, late
        self.needs = (REDIS,) if broker == "redis" else (RABBITMQ,)
        self.name = f"celery-{broker}" + ("-late" if late else "")
        self.label = f"Celery + {self.needs[0].name}, acks {'late' if late else 'early'}"
        self.stated = (
            "prefork 2, prefetch multiplier 4, results off, gossip, mingle, heartbeat, events and remote "
            f"control off, no publisher confirms, acks {'late' if late else 'early'}"
        )
        self.workloads = frozenset({"drain", "pickup"}) if late else ANY
        if broker == "rabbitmq" and not late:
            self.workloads |= {"slow"}  # on Redis it is the same
        self.quick = not late

    def prepare(self, stage: "Stage") -> None:
        super().prepare(stage)
        if self.broker == "redis":
            url = REDIS.empty_database()
            stage.closing.callback(REDIS.flush, url)
        else:
            url = RABBITMQ.url
            stage.closing.callback(RABBITMQ.delete, PREFIX)
        stage.variables |= {
            "BENCH_BROKER_URL": url,
            "BENCH_QUEUE": PREFIX,
            "BENCH_ACKS_LATE": "1" if self.late else "",
        }

    def worker_commands(self, stage: "Stage") -> list[list[str]]:
        options = ["--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING"]
        options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [[sys.executable, "-m", "celery", "-A", "benchmarks.sites.celery_site", "worker", *options]]


CELERIES = [
    Celery("redis", late=False),
    Celery("redis", late=True),
    Celery("rabbitmq", late=False),
    Celery("rabbitmq", late=True),
]
