"""What DATABASE_URL does not say: how connections are kept, and how long each engine waits."""

import sys
from collections.abc import Mapping
from typing import Any

from project.environment import BASE_DIR, refusal

# What SQLite's journal may take when nobody needs it. While somebody reads for long it grows, and without a limit the
# file would stay as large as it ever was.
JOURNAL_BYTES = 64 * 1024 * 1024

SQLITE = {
    # Readers never wait for the writer, and a commit costs no fsync: a crash of the machine (not of a process) may
    # take back the last commits, it never damages the file.
    # A checkpoint does cost one, and whoever commits the page that is too many waits for it: at SQLite's default of
    # 1000 pages that was one request in a hundred. 4000 are 16 MB of journal.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4000; "
    f"PRAGMA journal_size_limit={JOURNAL_BYTES}",
    # Take the write lock at BEGIN. A transaction that upgrades later fails at once with "database is locked",
    # whatever the timeout says.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}
# `prepare_threshold`: how often a session sees a statement before it is prepared. Only requests' INSERTs are, and the
# claim of entries from its first time; with a pooler that has no sessions they cannot be, nor can the cluster listen
# there.
# A host that is cut off hears nothing, and would wait for a quarter of an hour. So it knows within half a lease, and
# connects anew. What DATABASE_URL says goes first (`?tcp_user_timeout=…`).
POSTGRESQL = {
    "connect_timeout": 10,
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "prepare_threshold": 5,
}


def tuned(url: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of DATABASES for what a database URL says. Raises EnvError for one that cannot be."""
    is_pooled = bool(url.get("OPTIONS", {}).get("pool"))
    database = {
        **url,
        # A POST that opens its own connection costs four times as much. With `?pool=true` the pool keeps them.
        "CONN_MAX_AGE": 0 if is_pooled else None,
        "CONN_HEALTH_CHECKS": True,
    }
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["ENGINE"] = "project.sqlite3"  # the same, but for how it waits for the writer
        if database["NAME"] != ":memory:":
            file = database["NAME"] = BASE_DIR / database["NAME"]
            if file.is_dir() or not file.parent.is_dir():
                raise refusal("DATABASE_URL", f"{file} cannot be a file: it is a folder, or it has none.")
        database["OPTIONS"] = SQLITE
        # REST framework loads PostgreSQL's own model fields where it can, and psycopg with them: 20 MiB of an idle
        # service. Here it does as where psycopg is not installed.
        sys.modules.setdefault("django.contrib.postgres.fields", None)  # type: ignore[arg-type]
    elif database["ENGINE"] == "django.db.backends.postgresql":
        if not database["NAME"] and "service" not in database.get("OPTIONS", {}):
            raise refusal("DATABASE_URL", "It does not name a database.")
        database["ENGINE"] = "project.postgresql"  # the same, but for how it sees that a connection is lost
        database["OPTIONS"] = POSTGRESQL | database.get("OPTIONS", {})
    else:
        raise refusal("DATABASE_URL", "It is for neither PostgreSQL nor SQLite.")
    return database
