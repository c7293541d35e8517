"""Geometry of the drawings: numbers go in, the attributes of SVG elements come out. Colours are the stylesheet's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.timezone import localtime

from ..figures import Minute, Percentiles, spoken

WIDTH, HEIGHT = 600, 120  # of the minutes, in units of the viewBox
STEP = WIDTH / 60
ROW = 26  # of one percentile


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    kind: str  # a class of the stylesheet
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Minutes:
    bars: list[Bar]
    ticks: list[Tick]
    top: int  # attempts of the highest minute


def minutes(of: Sequence[Minute]) -> Minutes:
    """Stacked bars, one for each minute: sent below, what failed on top."""
    top = max((minute.sent + minute.again + minute.failed for minute in of), default=0)
    bars = []
    for position, minute in enumerate(of):
        floor = float(HEIGHT)
        for kind, count in (("sent", minute.sent), ("again", minute.again), ("failed", minute.failed)):
            if count:
                # Two units at least: one failure among a thousand is to be seen.
                height = max(count / top * HEIGHT, 2)
                floor -= height
                label = f"{localtime(minute.at):%H:%M}: {count} {WORDS[kind]}"
                bars.append(Bar(_n(position * STEP + 1), _n(floor), _n(STEP - 2), _n(height), kind, label))
    ticks = [
        Tick(_n(n * STEP + STEP / 2), minute.at)
        for n, minute in enumerate(of)
        if minute.at.minute % 15 == 0 and 2 < n < 57
    ]
    return Minutes(bars, ticks, top)


WORDS = {"sent": "sent", "again": "not sent, tried again or unknown", "failed": "given up"}


def percentiles(of: Percentiles) -> list[Bar]:
    """One bar for each, as long as it is; the longest fills the width."""
    times = (("p50", of.p50), ("p95", of.p95), ("p99", of.p99))
    longest = max(of.p99, 0.001)
    return [
        Bar(0, n * ROW, _n(max(seconds / longest * 100, 1)), 14, name, spoken(seconds))
        for n, (name, seconds) in enumerate(times)
    ]


def _n(number: float) -> float:
    return round(number, 2)
