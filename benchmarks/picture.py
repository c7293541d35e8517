"""The picture: benchmarks/results.svg, written by hand so that it follows the reader's light or dark scheme."""

from dataclasses import dataclass
from statistics import median
from xml.sax.saxutils import escape

from .plan import Results
from .report import Record
from .systems import SYSTEMS
from .systems.base import System
from .words import number, plain

WIDTH = 880
LABELS = 292  # pixels for the names
BARS = 440  # pixels for the longest bar
ROW, BAR = 19, 12
STYLE = """
  text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
  .head { font-size: 14px; font-weight: 600 } .small { font-size: 11px; fill: #59636e }
  .ours { fill: #0969da } .peer { fill: #8c959f } .floor { fill: none; stroke: #8c959f; stroke-dasharray: 3 2 }
  .name-ours { font-weight: 600 } .range { stroke: #1f2328; stroke-width: 1.2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .ours { fill: #4493f8 } .peer { fill: #656c76 }
    .floor { stroke: #9198a1 } .range { stroke: #f0f6fc }
  }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One bar chart: a figure of every system that has it."""

    workload: str
    figure: str
    heading: str
    unit: str
    more_is_better: bool = True


PANELS = (
    Panel("post", "per_second", "Requests answered a second (8 clients, workers running)", "/s"),
    Panel("pickup", "pickup_p50", "From the reply to the work done, median at 20 requests/s", " ms", False),
    Panel("drain", "per_second", "Backlog worked off, jobs a second (2 worker processes)", "/s"),
)


def svg(record: Record) -> str:
    body: list[str] = []
    y = 24
    for panel in PANELS:
        rows = _rows(record.results, panel)
        if rows:
            body += _panel(panel, rows, y)
            y += 34 + ROW * len(rows) + 14
    body.append(
        _text(0, y, f"{record.date}, {record.command}: {escape(record.machine)}.", "small")
        + _text(0, y + 16, "Bar: median; line: smallest to largest. Dashed: floors.", "small")
    )
    height = y + 26
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="title">\n'
        f'<title id="title">This project beside its peers: {escape(_summary(record.results))}</title>\n'
        f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _rows(results: Results, panel: Panel) -> list[tuple[System, list[float]]]:
    rows = [
        (system, values)
        for system in SYSTEMS.values()
        if (values := results.values(panel.workload, system.name, panel.figure))
    ]
    return sorted(rows, key=lambda row: median(row[1]), reverse=panel.more_is_better)


def _panel(panel: Panel, rows: list[tuple[System, list[float]]], y: int) -> list[str]:
    better = "longer is better" if panel.more_is_better else "shorter is better"
    parts = [_text(0, y, panel.heading, "head") + _text(WIDTH - 24, y, better, "small", "end")]
    # A raw floor may be ten times anything real: its bar is cut, its number is not.
    real = [max(values) for system, values in rows if not system.is_floor]
    scale = BARS / max(real or [max(values) for _, values in rows])
    for place, (system, values) in enumerate(rows):
        parts.append(_bar(system, values, panel, scale, y + 18 + place * ROW))
    return parts


def _bar(system: System, values: list[float], panel: Panel, scale: float, y: int) -> str:
    kind = "ours" if system.is_product else "floor" if system.is_floor else "peer"
    middle = median(values)
    length = min(max(middle * scale, 1.0), BARS)
    low, high = (min(value * scale, BARS) for value in (min(values), max(values)))
    parts = [
        _text(LABELS - 8, y + 10, plain(system.label), f"name-{kind}", "end"),
        f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>',
    ]
    if len(values) > 1:
        middle_y = y + BAR / 2
        parts.append(
            f'<line class="range" x1="{LABELS + low:.1f}" x2="{LABELS + high:.1f}" y1="{middle_y}" y2="{middle_y}"/>'
        )
    cut = " →" if middle * scale > BARS + 1 else ""
    parts.append(_text(LABELS + max(length, high) + 6, y + 10, f"{number(middle)}{panel.unit}{cut}", ""))
    return "".join(parts)


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _summary(results: Results) -> str:
    parts = []
    for panel in PANELS:
        value = results.median(panel.workload, "product-sqlite", panel.figure)
        if value is not None:
            parts.append(f"{number(value)}{panel.unit} {panel.heading.lower()}")
    return "; ".join(parts)
