"""`python -m tests.chaos.breaks`: break each law once in a copy of the code, and see its proof fail.

A proof that passes over broken code proves nothing. It says so, and ends with status 1, when a break goes unnoticed,
or when a line that it breaks has moved. DATABASE_URL chooses the database; names of breaks may be given.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.processes import DATABASE_URL, ROOT

SQLITE, POSTGRESQL = "notifications/statements/sqlite.py", "notifications/statements/postgresql.py"
DELIVERY, RECOVERY = "notifications/delivery.py", "notifications/recovery.py"
MODELS, LEASE = "notifications/models/notification.py", "notifications/lease.py"
KIND = "postgresql" if DATABASE_URL.startswith("postgres") else "sqlite"
CHAOS = [sys.executable, "-m", "tests.chaos", "--database", KIND]
MACHINE = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=600"]
PROOFS = {
    "machine": [*MACHINE, "tests/test_machine.py"],
    "storm": [*CHAOS, "--form", "storm", "--seconds", "25"],
    "calm": [*CHAOS, "--form", "calm", "--seconds", "8"],
    "death of the main process": [
        *CHAOS,
        "--form",
        "storm",
        "--seconds",
        "12",
        "--only",
        "kill cluster main",
    ],
}


@dataclass(frozen=True, slots=True)
class Break:
    """A law, the proof that must see it broken, and (file, text, text instead) that break it."""

    law: str
    proof: str
    edits: list[tuple[str, str, str]]


BREAKS = [
    Break(
        "claim only what is queued",
        "machine",
        [(SQLITE, " AND n.status = 'queued'", ""), (POSTGRESQL, "n.status || '' = 'queued' AND ", "")],
    ),
    Break(
        "claim only what is due",
        "machine",
        [
            (SQLITE, " AND n.next_attempt_at <= {NOW} || '999'", ""),
            (POSTGRESQL, " AND n.next_attempt_at <= clock_timestamp()", ""),
        ],
    ),
    Break(
        "count the attempt at the claim",
        "machine",
        [
            (SQLITE, "attempt_count + (due.reason IS NULL)", "attempt_count"),
            (
                POSTGRESQL,
                "n.attempt_count + CASE WHEN due.reason IS NULL THEN 1 ELSE 0 END",
                "n.attempt_count",
            ),
        ],
    ),
    Break(
        "record with the fencing token",
        "machine",
        [
            (SQLITE, "done.id AND attempt_count = done.attempt", "done.id"),
            (POSTGRESQL, "done.id AND n.attempt_count = done.attempt", "done.id"),
        ],
    ),
    Break(
        "record only what is being sent",
        "machine",
        [
            (SQLITE, "done.attempt AND {NOTIFICATION}.status = 'sending'", "done.attempt"),
            (
                POSTGRESQL,
                "WHERE n.status || '' = 'sending' ORDER BY n.id FOR UPDATE OF n\n    ), moved",
                "), moved",
            ),
        ],
    ),
    Break(
        "retry in the record's transaction",
        "machine",
        [(DELIVERY, "with nullcontext() if is_all else transaction.atomic(using=using):", "if True:")],
    ),
    Break("a retry has its entry", "machine", [(DELIVERY, "        if again:\n", "        if not again:\n")]),
    Break(
        "cancel only what is queued",
        "machine",
        [(MODELS, ".filter(pk=self.pk, status=source)", ".filter(pk=self.pk)")],
    ),
    Break(
        "leave a living worker its lease",
        "machine",
        [(MODELS, "status=Status.SENDING, lease_expires_at__lt=Now()", "status=Status.SENDING")],
    ),
    Break(
        "give poison up",
        "machine",
        [("notifications/retry.py", "if permanent or attempt >= self.max_attempts:", "if permanent:")],
    ),
    Break(
        "hold what may have arrived", "machine", [(DELIVERY, "elif result.unknown and hold:", "elif False:")]
    ),
    *(
        Break(
            f"hold what a dead worker was sending ({proof})",
            proof,
            [(RECOVERY, "delay = None if hold else policy", "delay = policy")],
        )
        for proof in ("machine", "storm")
    ),
    *(
        Break(f"{law} ({proof})", proof, [(RECOVERY, before, after)])
        for proof in ("machine", "storm")
        for law, before, after in [
            ("find what has an expired lease", "while records := _abandoned(using):", "while records := []:"),
            ("find what is stranded", "for page in _stranded():", "for page in []:"),
        ]
    ),
    Break(
        "renew the lease of a long send",
        "calm",
        [
            (
                LEASE,
                "        holding.postpone()\n        try:",
                "        return holding.postpone()\n        try:",
            )
        ],
    ),
    Break(
        "nobody works on for a cluster that is gone",
        "death of the main process",
        [("notifications/backends/queue/processes.py", 'if sys.platform == "linux":', "if False:")],
    ),
]


def main(names: list[str]) -> int:
    breaks = [broken for broken in BREAKS if not names or broken.law in names]
    for proof in sorted({broken.proof for broken in breaks}):
        if seen(Break("(whole code: nothing to see)", proof, [])):
            raise SystemExit(
                f"The proof {proof} fails over the whole code: what it sees of a break says nothing."
            )
    unseen = [broken.law for broken in breaks if not seen(broken)]
    say(f"{len(unseen)} went unnoticed{': ' + ', '.join(unseen) if unseen else ''}")
    return 1 if unseen else 0


def seen(broken: Break) -> bool:
    """Whether the proof fails over the broken code. Raise SystemExit when there is nothing to break."""
    with tempfile.TemporaryDirectory(prefix="notifications-break-") as folder:
        copy = Path(folder) / "copy"
        names = shutil.ignore_patterns(".*", "*.sqlite3*", "log.txt", "__pycache__", "benchmarks")
        shutil.copytree(ROOT, copy, ignore=names)
        for file, before, after in broken.edits:
            text = (copy / file).read_text()
            if text.count(before) < 1:
                raise SystemExit(f"{broken.law}: {file} no longer has {before!r}")
            (copy / file).write_text(text.replace(before, after))
        done = subprocess.run(
            PROOFS[broken.proof],
            cwd=copy,
            env={**os.environ, "MACHINE_EXAMPLES": "50", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    tell = next((line for line in done.stdout.splitlines() if "BROKEN" in line or line.startswith("E  ")), "")
    say(
        f"{'seen' if done.returncode else 'NOT SEEN':<10}{broken.law:<50}{broken.proof:<26}{tell.strip()[:90]}"
    )
    return done.returncode != 0


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (a command speaks on stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
