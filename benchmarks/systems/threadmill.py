"""threadmill: Django's task framework on Redis, with leases and results."""

from typing import TYPE_CHECKING

from ..servers import REDIS
from .base import System, manage

if TYPE_CHECKING:
    from ..stage import Stage


class Threadmill(System):
    name = "threadmill"
    label = "threadmill 0.3, Redis"
    stated = "`threadmill worker --workers 2 --threads 1`; 0.4 and later want Python 3.14"
    site = "django_tasks"
    needs = (REDIS,)
    drain_size = 4000
    quick = True

    def prepare(self, stage: "Stage") -> None:
        url = REDIS.empty_database()
        stage.closing.callback(REDIS.flush, url)
        self.django_settings = {
            "BENCH_APPS": ["threadmill"],
            "TASKS": {"default": {"BACKEND": "threadmill.backends.redis.RedisTaskBackend", "REDIS_URL": url}},
        }
        super().prepare(stage)

    def worker_commands(self, stage: "Stage") -> list[list[str]]:
        return [manage("threadmill", "worker", "--workers", "2", "--threads", "1")]
