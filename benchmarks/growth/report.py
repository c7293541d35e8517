"""The table: benchmarks/GROWTH.md."""

import time
from typing import Any

from benchmarks.machine import description
from benchmarks.words import TIMES, table

Size = dict[str, Any]
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
GROWS = 1.5  # times, from the smallest to the largest size: more is named


def markdown(sizes: list[Size], command: str) -> str:
    import django

    versions = {size["database"]: size["version"] for size in sizes}
    named = ", ".join(f"{NAMES[database]} {version}" for database, version in versions.items())
    parts = [
        "# What grows with the number of rows",
        f"`{command}`, {time.strftime('%Y-%m-%d')}. {description()}. Django {django.__version__}, {named}.",
        "CPU milliseconds for each call, of the process and of its PostgreSQL backend: what a core is busy with, "
        "whoever else is on the machine; waiting for a disk is not in it. Pages are whole requests of Django's test "
        "client, sent by a superuser. The last column is the largest size by the smallest.",
    ]
    for database in versions:
        mine = [size for size in sizes if size["database"] == database]
        kept = [size for size in mine if not size["waiting"]]
        waits = [size for size in mine if size["waiting"]]
        if len(kept) > 1:
            parts += [f"## {NAMES[database]}: finished notifications", _times(kept, "finished"), _sizes(kept)]
        if len(waits) > 1:
            parts += [f"## {NAMES[database]}: waiting notifications", _times(waits, "waiting")]
    return "\n\n".join(parts) + "\n"


def _times(sizes: list[Size], what: str) -> str:
    head = ["", *(f"{size[what]:,}" for size in sizes), "growth"]
    rows = []
    for name in sizes[0]["times"]:
        values = [size["times"][name] for size in sizes]
        growth = values[-1] / values[0]
        mark = "**" if growth > GROWS else ""
        rows.append([name, *map(_ms, values), f"{mark}{growth:.1f}{TIMES}{mark}"])
    return table(head, rows)


def _sizes(sizes: list[Size]) -> str:
    head = ["bytes for each notification", *(f"{size['finished']:,}" for size in sizes)]
    rows = []
    for name in ("notifications_notification", "notifications_attempt", "django_q_task"):
        for kind in ("rows", "indexes"):
            values = [size["sizes"][name][kind] / size["finished"] for size in sizes]
            rows.append([f"{name}, {kind}", *(f"{value:.0f}" for value in values)])
    total = [sum(sum(part.values()) for part in size["sizes"].values()) for size in sizes]
    rows.append(
        ["all", *(f"{value / size['finished']:.0f}" for value, size in zip(total, sizes, strict=True))]
    )
    rows.append(["all, MiB", *(f"{value / 2**20:,.0f}" for value in total)])
    return table(head, rows)


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
