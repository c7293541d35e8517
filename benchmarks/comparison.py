"""Where a peer is ahead of this project: said plainly, from the medians."""

from .plan import Results
from .systems import SYSTEMS
from .systems.base import System
from .words import DASH, TIMES

OURS = ("product-sqlite", "product-pg")
HEADLINES = (  # workload, figure, in words, whether more is better
    ("post", "per_second", "requests answered a second", True),
    ("post", "web_us", "CPU of the web for a request", False),
    ("pickup", "pickup_p50", "reply → line, p50", False),
    ("pickup", "pickup_p99", "reply → line, p99", False),
    ("pickup", "from_post_p50", "POST → line, p50", False),
    ("drain", "per_second", "jobs drained a second", True),
    ("drain", "cpu_per_1000", "worker CPU for 1000 jobs", False),
    ("memory", "total_mib", "memory, idle, with its server", False),
    ("slow", "slow_per_second", "slow sends a second", True),
    ("slow", "pickup_p50", "quick pickup beside slow sends, p50", False),
)


def ahead(results: Results) -> list[list[str]]:
    """For each headline figure: which peers have the better median, and how many times better it is."""
    rows = []
    for workload, figure, words, more in HEADLINES:
        row = [_better(results, ours, workload, figure, more) for ours in OURS]
        if any(row):
            rows.append([words, *(text or DASH for text in row)])
    return rows


def _better(results: Results, ours: str, workload: str, figure: str, more: bool) -> str:
    """Names and factors, best first; "" where we were not measured."""
    mine = results.median(workload, ours, figure)
    if mine is None:
        return ""
    factors = {
        system.label: _factor(mine, theirs, more)
        for system in SYSTEMS.values()
        if _is_peer(system) and (theirs := results.median(workload, system.name, figure)) is not None
    }
    best = sorted((pair for pair in factors.items() if pair[1] > 1), key=lambda pair: -pair[1])
    return "; ".join(f"{label} {factor:.3g}{TIMES}" for label, factor in best) or "nobody"


def _is_peer(system: System) -> bool:
    return not system.is_product and not system.is_floor


def _factor(mine: float, theirs: float, more: bool) -> float:
    """How many times better theirs is. What is below 0.05 counts as 0.05."""
    high, low = (theirs, mine) if more else (mine, theirs)
    return high / max(low, 0.05)
