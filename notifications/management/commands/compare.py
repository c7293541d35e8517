"""`manage.py compare`: thread, queue and whatever else TASKS has, side by side, on this machine and this database.

It starts the service's own web server and workers on a database and a port of their own, with this project's
settings, sends to the `log` channel in a temporary folder, and leaves nothing behind.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from notifications.comparison import Measured, Trial, TrialFailed, summary
from notifications.conf import via_choices

WIDTH = 30  # characters of the progress bar

# What the trial's processes would work on, asked of one of them.
PLACES = """
import json
from django.conf import settings
from notifications.conf import notification_settings
channel = settings.CHANNELS.get(notification_settings().channel, {})
found = [settings.DATABASES["default"]["NAME"], channel.get("OPTIONS", {}).get("path"), settings.DEBUG]
print(json.dumps(found, default=str))
"""


class Command(BaseCommand):
    help = (
        "Measure each way of running the work on this machine: how fast the answer is, how soon the work begins, "
        "how much is done in a second, and what a killed process would lose."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--via", nargs="+", choices=via_choices(), default=via_choices())
        parser.add_argument(
            "--requests", type=int, default=300, help="requests of each measurement (default: 300)"
        )
        parser.add_argument("--json", action="store_true", help="figures for a program, in seconds")

    def handle(self, *, via: list[str], requests: int, json: bool, **options: Any) -> None:
        if requests < 10:
            raise CommandError("Fewer than 10 requests say nothing: give --requests 10 or more.")
        self.steps, self.done = 3 * len(via) + 1, 0
        with tempfile.TemporaryDirectory(prefix="compare-") as folder:
            _refuse_other_places(Path(folder))
            try:
                with Trial(Path(folder)) as trial:
                    self._progress("started")
                    measured = [trial.measure(alias, requests, self._progress) for alias in via]
            except TrialFailed as error:
                raise CommandError(str(error)) from error
        sys.stderr.write("\n")
        self.stdout.write(_as_json(measured) if json else _as_table(measured))
        if not json:
            self.stdout.write(f"\n{summary(measured)}")

    def _progress(self, what: str) -> None:
        self.done += 1
        filled = WIDTH * self.done // self.steps
        sys.stderr.write(f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {what:<30}")
        sys.stderr.flush()


def _refuse_other_places(folder: Path) -> None:
    """The trial tells its processes by the environment where to work. Settings that do not ask it name the project's
    own database and channels: those are not for a trial."""
    database, log = str(folder / "asked.sqlite3"), str(folder / "log.txt")
    told = {"DATABASE_URL": f"sqlite:///{database}", "NOTIFICATIONS_LOG_FILE": log, "DEBUG": "true"}
    asked = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, sys.argv[0], "shell", "--verbosity", "0", "--no-imports", "--command", PLACES],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
    )
    places = asked.stdout.splitlines()[-1:]
    if places != [json.dumps([database, log, True])] or not settings.WSGI_APPLICATION:
        raise CommandError(
            "These settings do not take DATABASE_URL, NOTIFICATIONS_LOG_FILE and DEBUG from the environment, or name "
            "no WSGI_APPLICATION: the trial would run on your own database. Nothing was started."
        )


def _as_json(measured: list[Measured]) -> str:
    return json.dumps([one.as_dict() for one in measured], indent=2)


def _as_table(measured: list[Measured]) -> str:
    rows = [
        ("", *(one.via for one in measured)),
        (
            "answer, p50 / p99 ms",
            *(f"{one.reply_p50 * 1e3:.1f} / {one.reply_p99 * 1e3:.1f}" for one in measured),
        ),
        (
            "begins after, p50 / p99 ms",
            *(f"{one.pickup_p50 * 1e3:.1f} / {one.pickup_p99 * 1e3:.1f}" for one in measured),
        ),
        ("accepted and sent, per second", *(f"{one.per_second:.0f}" for one in measured)),
        ("a killed process loses", *(one.loses for one in measured)),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(lines)
