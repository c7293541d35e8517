"""`python -m benchmarks.growth`: fills databases to each size, measures, and writes benchmarks/GROWTH.md.

Each size is a database of its own, made, filled, measured by a process of its own, and dropped. Ten million take about
8 GiB on PostgreSQL and 7 GiB on SQLite while they are there.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.processes import manage, private_database

from .report import Size, markdown

ROOT = Path(__file__).parents[2]
POSTGRESQL = "postgres://postgres@127.0.0.1:5432/postgres"
FINISHED = [10_000, 100_000, 1_000_000, 10_000_000]
WAITING = [1_000, 100_000, 1_000_000]
BESIDE = 10_000  # finished ones beside those that wait
BYTES_A_ROW = 1200  # of disk that must be free for each, twice over


def main() -> None:
    options = arguments()
    if options.one:
        one(*options.one)
    else:
        every_size(options)


def every_size(options: argparse.Namespace) -> None:
    record = Path(options.record)
    sizes: list[Size] = json.loads(record.read_text()) if options.again else []
    done = {(size["database"], size["finished"], size["waiting"]) for size in sizes}
    wanted = [(n, 0) for n in FINISHED if n <= options.largest]
    wanted += [(BESIDE, n) for n in WAITING if n <= options.largest]
    for finished, waiting in wanted:
        for database in options.databases.split(","):
            if (database, finished, waiting) in done:
                continue
            sizes.append(measured(database, finished, waiting, options.folder))
            record.parent.mkdir(exist_ok=True)
            record.write_text(json.dumps(sizes, indent=1))
    command = "make bench-growth" + ("" if options.largest == FINISHED[-1] else f" LARGEST={options.largest}")
    Path(options.output).write_text(markdown(sizes, command))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--largest", type=int, default=FINISHED[-1], help="go no further than so many rows")
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where SQLite's files lie meanwhile")
    parser.add_argument("--output", default=str(ROOT / "benchmarks" / "GROWTH.md"))
    parser.add_argument("--record", default=str(ROOT / ".bench" / "growth.json"), help="what was measured")
    parser.add_argument("--again", action="store_true", help="measure only what the record does not have")
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(database: str, finished: int, waiting: int, folder: str) -> Size:
    """In a process of its own, for settings are read once."""
    free, needed = shutil.disk_usage(folder).free, 2 * BYTES_A_ROW * (finished + waiting)
    if free < needed:
        sys.exit(f"{finished + waiting} rows want {needed >> 30} GiB of disk, and {free >> 30} are free.")
    url = "sqlite://" if database == "sqlite" else os.environ.get("DATABASE_URL", POSTGRESQL)
    with tempfile.TemporaryDirectory(dir=folder) as made, private_database(Path(made), url) as private:
        env = {
            "DATABASE_URL": private,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "LOG_LEVEL": "ERROR",
        }
        migrated = manage("migrate", "--verbosity", "0", env=env)
        assert migrated.returncode == 0, migrated.stderr
        command = [sys.executable, "-m", "benchmarks.growth", "--one", str(finished), str(waiting)]
        done = subprocess.run(
            command, env={**os.environ, **env}, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
    size: Size = json.loads(done.stdout)
    return {"database": database, "finished": finished, "waiting": waiting, **size}


def one(rows: int, waiting: int) -> None:
    """Fill the database of the settings, measure, and say it as JSON."""
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.db import connection

    from . import fill, measure

    user, _ = User.objects.get_or_create(username="operator", is_staff=True, is_superuser=True)
    began = time.monotonic()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:  # for the fill only: it writes what the service writes in months
            cursor.execute("PRAGMA cache_size = -2000000")
            cursor.execute("PRAGMA synchronous = OFF")
    fill.finished(rows, user.pk)
    if waiting:
        fill.waiting(waiting, user.pk)
    fill.settle()
    connection.close()
    filled = time.monotonic() - began
    sizes = measure.sizes()
    version = ".".join(map(str, connection.get_database_version()))
    say = {"filled_in": filled, "sizes": sizes, "version": version, "times": measure.all_of(user)}
    json.dump(say, sys.stdout)


main()
