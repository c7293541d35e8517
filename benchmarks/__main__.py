"""The command line: `python -m benchmarks --help`."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from . import machine, picture, report
from .plan import run, say
from .processes import adopt_orphans, end_leftovers
from .servers import POSTGRESQL, reachable
from .systems import SYSTEMS
from .systems.base import System
from .workloads import WORKLOADS
from .workloads.base import FULL, QUICK, Workload

HERE = Path(__file__).resolve().parent


def main() -> None:
    options = _options()
    results_file = options.output / "results.json"
    if options.render:
        record = report.load(results_file)
    else:
        record = _measured(options)
        options.output.mkdir(parents=True, exist_ok=True)
        report.save(record, results_file)
    (options.output / "RESULTS.md").write_text(report.markdown(record))
    (options.output / "results.svg").write_text(picture.svg(record))
    print((options.output / "RESULTS.md").read_text())


def _measured(options: argparse.Namespace) -> report.Record:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    adopt_orphans()
    scale = QUICK if options.quick else FULL
    systems = [s for s in SYSTEMS.values() if _in_round(s, options.systems, options)]
    workloads = [w for w in WORKLOADS.values() if _in_round(w, options.only, options)]
    versions, missing = reachable()
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        results = run(systems, workloads, scale, missing)
    except KeyboardInterrupt:
        say("interrupted; ending what was started")
        sys.exit(130)
    finally:
        if left := end_leftovers():
            say(f"ended {left} processes that were left over")
        if "PostgreSQL" not in missing:
            POSTGRESQL.drop_all()
    return report.Record(
        results=results,
        command=_command(options),
        minutes=(time.monotonic() - began) / 60,
        quick=options.quick,
        repetitions=scale.repetitions,
        versions=machine.versions() | versions,
        machine=machine.description(),
        load_before=load,
    )


def _in_round(candidate: System | Workload, named: list[str] | None, options: argparse.Namespace) -> bool:
    return candidate.name in named if named else candidate.quick or not options.quick


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The product beside its peers.")
    parser.add_argument("--quick", action="store_true", help="one short round of the main systems")
    parser.add_argument("--only", type=_names(WORKLOADS), help=f"some of: {', '.join(WORKLOADS)}")
    parser.add_argument("--systems", type=_names(SYSTEMS), help=f"some of: {', '.join(SYSTEMS)}")
    parser.add_argument("--output", type=Path, default=HERE, help="folder for the results (%(default)s)")
    parser.add_argument(
        "--render", action="store_true", help="write table and picture again, measure nothing"
    )
    options = parser.parse_args()
    if (options.only or options.systems) and options.output == HERE and not options.render:
        options.output = HERE.parent / ".bench"  # a part of the picture never replaces the whole
    return options


def _names(known: dict):
    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return chosen

    return names


def _command(options: argparse.Namespace) -> str:
    if options.only or options.systems:
        chosen = [f"--only {','.join(options.only)}"] if options.only else []
        chosen += [f"--systems {','.join(options.systems)}"] if options.systems else []
        return " ".join(["python -m benchmarks", *chosen, *(["--quick"] if options.quick else [])])
    return "make bench-quick" if options.quick else "make bench"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
