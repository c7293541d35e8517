"""What this project promises about its speed, and whether this run's medians keep it.

Every figure holds with both rows of a notification, leases, fencing and retries in place. Ratios to other
systems are taken within one run, never across machines or hours.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .plan import Results
from .words import TIMES

Value = Callable[[Results], float | None]
STORES = {"sqlite": "SQLite", "pg": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one measured value. `unit` follows the number."""

    what: str
    value: Value
    bound: float
    at_least: bool
    unit: str = ""

    def ratio(self, results: Results) -> float | None:
        """Measured over bound: from 1 up is kept for a lower bound, up to 1 for an upper one."""
        measured = self.value(results)
        return None if measured is None else measured / self.bound

    def kept(self, results: Results) -> bool | None:
        ratio = self.ratio(results)
        return None if ratio is None else (ratio >= 1 if self.at_least else ratio <= 1)


def _figure(workload: str, system: str, figure: str) -> Value:
    return lambda results: results.median(workload, system, figure)


def _over(workload: str, system: str, figure: str, *others: str) -> Value:
    """The system's figure over the best of the others'."""

    def value(results: Results) -> float | None:
        ours = results.median(workload, system, figure)
        theirs = [found for other in others if (found := results.median(workload, other, figure))]
        return ours / max(theirs) if ours is not None and theirs else None

    return value


def _at_least(what: str, value: Value, bound: float, unit: str = "") -> Target:
    return Target(what, value, bound, at_least=True, unit=unit)


def _at_most(what: str, value: Value, bound: float, unit: str = "") -> Target:
    return Target(what, value, bound, at_least=False, unit=unit)


def _of_store(short: str, store: str) -> list[Target]:
    """The bounds that each database has to keep."""
    queue, thread = f"product-{short}", f"product-{short}-thread"
    rabbit = ("celery-rabbitmq", "celery-rabbitmq-late")
    celery = ("celery-redis", "celery-redis-late", *rabbit) if short == "sqlite" else rabbit
    peer = "the fastest Celery" if short == "sqlite" else "Celery + RabbitMQ"
    post, floor_share, celery_share = "POST, queue", *((0.5, 1.4) if short == "sqlite" else (0.3, 1.0))
    drained = 10_000 if short == "sqlite" else 8_000
    large = "the largest backlog"
    return [
        _at_least(f"Drain, {store}", _figure("drain", queue, "per_second"), drained, "/s"),
        _at_least(
            f"Drain, {store}, beside Celery + RabbitMQ",
            _over("drain", queue, "per_second", *rabbit),
            7,
            TIMES,
        ),
        _at_most(f"Pickup p50, {store}", _figure("pickup", queue, "pickup_p50"), 2, " ms"),
        _at_most(f"Pickup p99, {store}", _figure("pickup", queue, "pickup_p99"), 5, " ms"),
        _at_most(f"Pickup p50, thread, {store}", _figure("pickup", thread, "pickup_p50"), 1, " ms"),
        _at_least(
            f"{post}, {store}, beside the floor",
            _over("post", queue, "per_second", "floor"),
            floor_share,
            TIMES,
        ),
        _at_least(
            f"{post}, {store}, beside {peer}",
            _over("post", queue, "per_second", *celery),
            celery_share,
            TIMES,
        ),
        _at_least(
            f"POST, thread, {store}, beside the floor",
            _over("post", thread, "per_second", "floor"),
            0.6,
            TIMES,
        ),
        _at_most(
            f"POST while a backlog drains, p99, {store}", _figure("busy_post", queue, "reply_p99"), 50, " ms"
        ),
        _at_least(f"Bulk POST, {store}", _figure("bulk", queue, "accepted_per_second"), 20_000, "/s"),
        _at_most(f"A POST with {large}, {store}", _figure("backlog", queue, "post"), 1.2, TIMES),
        _at_most(f"A pickup with {large}, {store}", _figure("backlog", queue, "pickup"), 1.2, TIMES),
        _at_most(f"A drained job with {large}, {store}", _figure("backlog", queue, "drain"), 1.2, TIMES),
        _at_least(f"Slow sends (0.5 s), {store}", _figure("slow", queue, "slow_per_second"), 40, "/s"),
        _at_most(f"Quick pickup beside them, p50, {store}", _figure("slow", queue, "pickup_p50"), 20, " ms"),
    ]


TARGETS = [
    *(target for short, store in STORES.items() for target in _of_store(short, store)),
    _at_least(
        "4 clusters on one PostgreSQL beside 1", _figure("clusters", "product-pg", "ratio"), 1.5, TIMES
    ),
    _at_most(
        "Memory of web and cluster, idle, SQLite",
        _figure("memory", "product-sqlite", "total_mib"),
        200,
        " MiB",
    ),
]
