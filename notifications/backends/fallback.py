"""Which engine takes work now: the one that was asked for, or while it is down the next one that its settings name.

    TASKS["celery"]["OPTIONS"] = {"BROKER_URL": "…", "FALLBACK": "default"}

A backend that can be down says so by `is_down()`, from what its process knows already: no request waits for that.
It is asked only where a fallback is configured. Fallbacks are followed from one to the next; when all are down, the one
that was asked for keeps the work, as it would without.
"""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error
from django.tasks import task_backends


def taker_of(alias: str) -> str:
    """The alias of TASKS that takes now what is meant for `alias`."""
    if _next(alias) is None:
        return alias
    return next((taker for taker in _chain(alias) if not _is_down(taker)), alias)


def check_fallback(alias: str) -> Iterator[CheckMessage]:
    """A fallback must be there, be able to do the work, and not lead back."""
    fallback, where = _next(alias), f"TASKS[{alias!r}]: FALLBACK"
    if fallback is None:
        return
    if not isinstance(fallback, str) or fallback not in task_backends:
        yield Error(
            f"{where} is {fallback!r}, which is no alias in TASKS.",
            hint="Name another backend, or leave it out: work then waits until this one is back.",
            id="notifications.fallback.E001",
        )
        return
    if _next(list(_chain(alias))[-1]) is not None:
        yield Error(
            f"{where} leads in a circle: {' > '.join(_chain(alias))}.",
            hint="The last one has none: name as the last what keeps work best.",
            id="notifications.fallback.E002",
        )
    mine, others = task_backends[alias].queues, task_backends[fallback].queues
    if others and not mine <= others:
        yield Error(
            f"{where} {fallback!r} does not have all the queues of {alias!r}.",
            hint=f"Give it QUEUES = {sorted(mine)!r}.",
            id="notifications.fallback.E003",
        )


def _is_down(alias: str) -> bool:
    backend: Any = task_backends[alias]
    return hasattr(backend, "is_down") and backend.is_down()


def _next(alias: str) -> Any:
    return task_backends[alias].options.get("FALLBACK")


def _chain(alias: str) -> Iterator[str]:
    """The alias, its fallback, the fallback's, and so on; each once, so that it ends."""
    seen: list[str] = []
    while isinstance(alias, str) and alias in task_backends and alias not in seen:
        seen.append(alias)
        yield alias
        alias = _next(alias)
