"""The table: benchmarks/RESULTS.md, from one run's record."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .comparison import ahead
from .plan import Results
from .systems import SYSTEMS
from .systems.base import System
from .targets import TARGETS
from .words import DASH, cell, number, plain, table
from .workloads import WORKLOADS
from .workloads.base import Workload


@dataclass(frozen=True, slots=True)
class Record:
    """All that a run has to say, so that table and picture can be made again without measuring."""

    results: Results
    command: str
    minutes: float
    quick: bool
    repetitions: int
    versions: dict[str, str]
    machine: str
    load_before: float
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))


def save(record: Record, path: Path) -> None:
    path.write_text(json.dumps(asdict(record), indent=1))


def load(path: Path) -> Record:
    data = json.loads(path.read_text())
    return Record(**data | {"results": Results(**data["results"])})


MAIN = (  # workload, figure, heading
    ("post", "per_second", "POST/s"),
    ("post", "reply_p50", "reply p50 ms"),
    ("post", "reply_p99", "reply p99 ms"),
    ("post", "web_us", "web CPU µs/request"),
    ("pickup", "pickup_p50", "reply → line p50 ms"),
    ("pickup", "pickup_p99", "p99 ms"),
    ("pickup", "from_post_p50", "POST → line p50 ms"),
    ("drain", "per_second", "drained/s"),
    ("drain", "cpu_per_1000", "worker CPU s/1000"),
    ("memory", "web_mib", "web MiB"),
    ("memory", "workers_mib", "workers MiB"),
    ("memory", "server_mib", "its server MiB"),
)


def markdown(record: Record) -> str:
    results = record.results
    sections = [
        ("# Results", _head(record)),
        ("## Side by side", _main_table(results)),
        ("## How to read it", _reading(results)),
        ("## Where a peer is ahead", table(["", "ahead of us on SQLite", "on PostgreSQL"], ahead(results))),
        *(
            (f"## {workload.title}", _workload_table(results, workload))
            for workload in WORKLOADS.values()
            if workload.fresh
        ),
        ("## Our own targets", _targets_table(results)),
        ("## How each was run", _settings(results)),
        ("## Not measured", _gaps(results)),
    ]
    return "\n".join(f"{heading}\n\n{body}" for heading, body in sections if body)


def _head(record: Record) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    repeated = (
        f"Medians of up to {record.repetitions} interleaved repetitions, smallest and largest in brackets."
        if record.repetitions > 1
        else "One short repetition: good for a look, not for the record."
    )
    return (
        f"`{record.command}`, {record.date}, {record.minutes:.0f} minutes. {repeated}\n\n"
        f"{record.machine}; clients, web, workers and servers share it (load before: {record.load_before:.1f}). "
        f"{versions}.\n"
    )


def _reading(results: Results) -> str:
    shares = [value for name in SYSTEMS for value in results.values("post", name, "cpu_share")]
    doubled = {name: sum(results.values("drain", name, "doubled")) for name in SYSTEMS}
    sentences = [
        "The job is the same everywhere: append one line to a file. This project writes two rows for each "
        "(notification and attempt); the peers keep only what their queue keeps.",
        "A drain is over when the last line is in the file and, for this project, the last row says `sent`.",
        "*Reply → line* is from the complete answer to the line in the file (a line that was there first counts "
        "as 0), *POST → line* from the first byte sent.",
        "FastAPI, Celery and threadmill answer before anything is on a disk; SQLite here syncs at checkpoints "
        "(`synchronous=NORMAL`), PostgreSQL and huey at each commit.",
        *(
            [
                "The HTTP clients are a process of their own. For *POST/s* each client opens a new connection four "
                "times a second, so that they spread over the web processes; that process took "
                f"{100 * min(shares):.0f} to {100 * max(shares):.0f} % of one core."
            ]
            if shares
            else []
        ),
        *(f"{plain(SYSTEMS[n].label)} ran {number(more)} jobs twice." for n, more in doubled.items() if more),
    ]
    return " ".join(sentences) + "\n"


def _measured(results: Results) -> list[System]:
    names = {name for by_system in results.figures.values() for name in by_system}
    return [system for system in SYSTEMS.values() if system.name in names]


def _settings(results: Results) -> str:
    return (
        "All run from one environment, each from its package; what is there for others (psutil, croniter) django-q2 "
        "does not find, as with whoever installs one of them. Every Django site has this project's gunicorn "
        "settings (2 processes of 8 threads, each process on one core if there are two), middleware, persistent "
        "connections and SQLite pragmas; the peers' have DRF's own content negotiation and no permission check.\n\n"
    ) + "".join(f"- {plain(system.label)}: {system.stated}.\n" for system in _measured(results))


def _main_table(results: Results) -> str:
    columns = [c for c in MAIN if c[0] in results.figures]
    rows = [
        [
            system.label,
            *(cell(results.values(workload, system.name, figure)) for workload, figure, _ in columns),
        ]
        for system in _measured(results)
    ]
    rows = [row for row in rows if any(text != DASH for text in row[1:])]
    return table(["", *(heading for *_, heading in columns)], rows)


def _workload_table(results: Results, workload: Workload) -> str:
    rows = [
        [system.label, *(cell(results.values(workload.name, system.name, f)) for f in workload.columns)]
        for system in _measured(results)
        if system.name in results.figures.get(workload.name, {})
    ]
    if not rows:
        return ""
    return table(["", *workload.columns.values()], rows) + workload.note(results.figures[workload.name])


def _targets_table(results: Results) -> str:
    rows = []
    for target in TARGETS:
        if (measured := target.value(results)) is None:
            continue
        bound = f"{'≥' if target.at_least else '≤'} {number(target.bound)}{target.unit}"
        ratio = target.ratio(results) or 0.0
        verdict = "kept" if target.kept(results) else "**missed**"
        rows.append([target.what, bound, f"{number(measured)}{target.unit}", f"{ratio:.2f}", verdict])
    return table(["", "target", "measured", "measured / target", ""], rows)


def _gaps(results: Results) -> str:
    lines = [f"- {plain(SYSTEMS[name].label)}: skipped, {why}.\n" for name, why in results.skipped.items()]
    lines += [
        f"- {WORKLOADS[workload].title}, {plain(SYSTEMS[name].label)}: {why}\n"
        for workload, by_system in results.absent.items()
        for name, why in by_system.items()
    ]
    return "".join(lines)
