"""`python -m tests.chaos`: both databases one after the other, or one; a calm backlog, then a storm of faults."""

import argparse
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

from tests.chaos.service import faketime_library
from tests.processes import free_port, manage, private_database

POSTGRESQL = "postgres://postgres@127.0.0.1:5432/postgres"  # unless DATABASE_URL names one
SHARES = {"calm": 0.2, "storm": 0.8}  # of the time
SHOWN = 20  # broken promises that are printed


def main() -> int:
    options = arguments()
    databases = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    forms = list(SHARES) if options.form == "all" else [options.form]
    if options.clocks_apart and faketime_library() is None:
        say("No libfaketime here (Debian: apt install faketime): all clocks of this machine are one.")
        return 0
    if len(databases) == len(forms) == 1:
        return one(options)
    status = 0
    for database in databases:
        if options.database == "both" and database == "postgresql" and not reachable(postgresql_url()):
            say("No PostgreSQL here: set DATABASE_URL=postgres://… to run on one.")
            continue
        for form in forms:
            share = SHARES[form] if options.form == "all" else 1
            status = max(status, again_with(options, database, form, options.seconds * share))
    return status


def arguments() -> argparse.Namespace:
    minutes = float(os.environ.get("CHAOS_MINUTES") or 0)
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--form", choices=[*SHARES, "all"], default="all")
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument(
        "--seconds", type=float, default=minutes * 60 or 45, help="of load, for each database"
    )
    parser.add_argument("--only", metavar="FAULT", help='again and again, such as "kill pusher"')
    parser.add_argument(
        "--clocks-apart", type=float, default=0, metavar="SECONDS", help="one more cluster, its clock ahead"
    )
    return parser.parse_args()


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (a command speaks on stdout)


def postgresql_url() -> str:
    url = os.environ.get("DATABASE_URL", "")
    return url if url.startswith("postgres") else POSTGRESQL


def reachable(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def again_with(options: argparse.Namespace, database: str, form: str, seconds: float) -> int:
    """A process reads its settings once, so each run gets its own."""
    command = [sys.executable, "-m", "tests.chaos", "--database", database, "--form", form]
    command += ["--seed", str(options.seed), "--seconds", str(seconds)]
    command += ["--clocks-apart", str(options.clocks_apart)]
    if options.only:
        command += ["--only", options.only]
    return subprocess.run(command, check=False).returncode


def one(options: argparse.Namespace) -> int:
    """Run it in this process, print the table. Returns the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="notifications-chaos-"))
    url = "sqlite:///" if options.database == "sqlite" else postgresql_url()
    say(f"{options.form} on {options.database}, seed {options.seed}, {options.seconds:g} s")
    with private_database(folder, url) as database_url:
        port = free_port()
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "DATABASE_URL": database_url,
            "DEBUG": "true",
            "SECRET_KEY": "chaos",
            "PORT": str(port),
            "WEB_CONCURRENCY": "2",
            "QCLUSTER_WORKERS": "2",
            "NOTIFICATIONS_LOG_FILE": str(folder / "log.txt"),
            "CHAOS_RETRY": "10" if options.form == "calm" else "60",
        }
        migrated = manage("migrate", "--verbosity", "0", env={})
        if migrated.returncode:
            say(migrated.stderr)
            return 1
        broken = _run(options, database_url, folder, port)
    for what in broken[:SHOWN]:
        say(f"  BROKEN {what}")
    if len(broken) > SHOWN:
        say(f"  … and {len(broken) - SHOWN} more")
    if not broken:
        shutil.rmtree(folder)
        return 0
    command = f"python -m tests.chaos --database {options.database} --form {options.form}"
    if options.only:
        command += f" --only {options.only!r}"
    say(
        f"  What the processes said is in {folder}\n"
        f"  Again: {command} --seed {options.seed} --seconds {options.seconds:g}"
    )
    return 1


def _run(options: argparse.Namespace, database_url: str, folder: Path, port: int) -> list[str]:
    import django

    django.setup()
    # Of the clients in this process; the service logs to its files.
    logging.getLogger().setLevel(logging.WARNING)
    from django.db import connections

    from tests.chaos.run import Options, run, table

    result = run(
        Options(
            database_url,
            folder,
            port,
            options.seed,
            options.seconds,
            calm=options.form == "calm",
            clocks_apart=options.clocks_apart,
            only=options.only,
        )
    )
    connections.close_all()
    say(table(result))
    return result.broken


if __name__ == "__main__":
    sys.exit(main())
