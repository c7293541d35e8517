"""The one accessor to `settings.BACKGROUND_TASKS`: read when used, every key optional."""

from dataclasses import dataclass

from django.conf import settings

RUN, REFUSE = "run", "refuse"


@dataclass(frozen=True, slots=True)
class BackgroundSettings:
    max_threads: int = 8  # threads of the pool, in each process
    max_waiting: int = 1000  # tasks that may wait for a thread; a request's own tasks are never split
    drain_timeout: float = 20  # seconds a stopping process works on; below gunicorn's graceful_timeout
    # A plain function past the bound: "run" in the caller, or "refuse" with an ERROR record.
    overflow: str = RUN
    run_on_error: bool = False  # run the tasks of a request whose view raised


def background_settings() -> BackgroundSettings:
    """The settings as they are now. An unknown key is a `TypeError` (a system check says it first)."""
    given = getattr(settings, "BACKGROUND_TASKS", {})
    return BackgroundSettings(**{key.lower(): value for key, value in given.items()})
