"""The short form of `make chaos`, on the database that DATABASE_URL names.

CHAOS_MINUTES makes it longer, CHAOS_SEED repeats it. A failure prints the seed, and where the processes' own words are.
"""

import os
import subprocess
import sys

import pytest

from tests.chaos.service import faketime_library
from tests.processes import DATABASE_URL, ROOT

MINUTES = float(os.environ.get("CHAOS_MINUTES") or 0)
pytestmark = [pytest.mark.process, pytest.mark.timeout(240 + MINUTES * 60)]


def chaos(form: str, seconds: float, *more: str) -> None:
    database = "postgresql" if DATABASE_URL.startswith("postgres") else "sqlite"
    command = [sys.executable, "-m", "tests.chaos", "--database", database, "--form", form, *more]
    done = subprocess.run(
        [*command, "--seconds", str(MINUTES * 60 or seconds)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout


def test_storm() -> None:
    """Law: what was accepted ends as sent, failed or cancelled, its line is in the log, and only what was being
    sent when something died stands there twice, and of a channel that holds nothing does; whatever dies, in both
    modes.

    Breaks it catches: no sweep, or one that skips stranded rows; a sweep that leaves dead workers' leases; an
    entry acknowledged before the work; a retry without its entry; attempts that are not counted at the claim.
    """
    chaos("storm", 20)


def test_calm() -> None:
    """Law: under a backlog longer than `retry`, with sends longer than two leases, nothing is sent twice and no
    lease is lost, for nobody was killed.

    Breaks it catches: a lease that is not renewed while a send runs; a claim without the status condition.
    """
    chaos("calm", 8)


@pytest.mark.skipif(not DATABASE_URL.startswith("postgres"), reason="SQLite's file has no second host")
@pytest.mark.skipif(
    faketime_library() is None, reason="libfaketime is not installed: all clocks here are one"
)
def test_clocks_of_two_hosts() -> None:
    """Law: a second cluster whose clock is 90 s ahead takes no living lease and sends nothing early or twice: what
    is due, and how long a lease holds, is read from the database's clock.

    Break it catches: a lease, or what has passed, reckoned by the host's clock.
    """
    chaos("calm", 5, "--clocks-apart", "90")
