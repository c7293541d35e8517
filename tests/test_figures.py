"""The verdict of the overview, and its words: pure."""

from datetime import timedelta
from typing import Any

import pytest

from notifications.figures import BOUND, Counted, judge, percent, percentiles, spoken

CALM: dict[str, Any] = {"oldest": None, "workers": 2, "sent": 998, "failed": 2, "unknown": Counted(0)}


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "healthy"),
        ({"oldest": timedelta(seconds=119.9)}, "healthy"),
        ({"oldest": timedelta(seconds=120)}, "warning"),
        ({"oldest": timedelta(seconds=299.9)}, "warning"),
        ({"oldest": timedelta(seconds=300)}, "critical"),
        ({"workers": 0}, "warning"),
        ({"workers": 0, "oldest": timedelta(seconds=1)}, "critical"),
        ({"workers": None}, "healthy"),
        ({"sent": 950, "failed": 50}, "healthy"),
        ({"sent": 949, "failed": 51}, "warning"),
        ({"sent": 0, "failed": 0}, "healthy"),
        ({"unknown": Counted(1)}, "warning"),
    ],
)
def test_the_light(changes: dict[str, Any], level: str) -> None:
    """Each threshold, from both sides; and whoever is not healthy says why."""
    light = judge(**{**CALM, **changes})
    assert light.level == level
    assert bool(light.because) == (level != "healthy")


def test_the_sentence() -> None:
    """One sentence says it all."""
    light = judge(**{**CALM, "oldest": timedelta(seconds=0.3)})
    assert light.sentence == "Healthy: oldest waiting 0.3 s, 2 workers, 99.8 % sent in the last hour"
    light = judge(**{**CALM, "workers": 0, "sent": 0, "failed": 0})
    assert light.sentence == "Warning: nothing waits, no worker, nothing sent in the last hour"


def test_percentiles_are_times_that_were_taken() -> None:
    """Nearest rank, whatever the order."""
    found = percentiles(float(n) for n in reversed(range(1, 201)))
    assert found is not None
    assert (found.p50, found.p95, found.p99, found.of) == (100, 190, 198, 200)
    one = percentiles([0.5])
    assert one is not None
    assert (one.p50, one.p95, one.p99) == (0.5, 0.5, 0.5)
    assert percentiles([]) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.012, "12 ms"), (0.3, "0.3 s"), (59, "59 s"), (180, "3.0 min"), (9000, "2.5 h"), (260_000, "3 d")],
)
def test_durations_are_spoken(seconds: float, text: str) -> None:
    """In the unit that fits."""
    assert spoken(seconds) == spoken(timedelta(seconds=seconds)) == text


def test_one_failure_is_not_rounded_away() -> None:
    """100 % means all of them."""
    assert (percent(1), percent(0.99999), percent(0.998)) == ("100 %", "99.9 %", "99.8 %")


def test_what_is_many_is_said_to_be() -> None:
    """Nothing is counted past the bound."""
    assert (str(Counted(BOUND)), str(Counted(BOUND + 1)), str(Counted(7))) == (
        "10\u202f000",
        "10\u202f000+",
        "7",
    )
