"""What the figures were taken on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "Django",
    "djangorestframework",
    "gunicorn",
    "django-q2",
    "psycopg",
    "fastapi",
    "uvicorn",
    "uvloop",
    "celery",
    "threadmill",
    "huey",
    "django-tasks-db",
    "procrastinate",
)


def versions() -> dict[str, str]:
    return {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def description() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
