"""Which of django-q2's schedules keep all others from being enqueued, and why.

django-q2's scheduler enqueues what is due in one transaction. An error at one schedule rolls all of them back, at every
round, and its line in the log names none.
"""

import ast
from collections.abc import Iterator

from django_q.models import Schedule

# What `ast.literal_eval` is documented to raise, and what comes of a time that cannot be reckoned (no croniter, no cron
# expression, none that can be read).
ERRORS = (
    ValueError,
    TypeError,
    SyntaxError,
    MemoryError,
    RecursionError,
    ImportError,
    AttributeError,
    OverflowError,
)


def broken() -> Iterator[tuple[str, str]]:
    """The name (and id) of each that would fail when it is due, and what is wrong with it."""
    for schedule in Schedule.objects.exclude(repeats=0).exclude(next_run=None).order_by("pk"):
        if reason := _reason(schedule):
            yield f"{schedule.name or schedule.func} (id {schedule.pk})", reason


def _reason(schedule: Schedule) -> str:
    """As the scheduler reads it. "" for nothing."""
    try:
        if schedule.args:
            ast.literal_eval(schedule.args)
    except ERRORS:
        return "its args are no Python literals"
    try:
        if schedule.kwargs and not isinstance(ast.literal_eval(schedule.kwargs), dict):
            return "its kwargs are a literal, but no dict"
    except (SyntaxError, ValueError):
        pass  # then it is read as `name=value, ...`, and what cannot be read so is left out
    except ERRORS as error:
        return f"its kwargs cannot be read: {error}"
    try:
        if schedule.schedule_type != Schedule.ONCE:
            schedule.calculate_next_run(schedule.next_run)
    except ERRORS as error:
        return f"its next run cannot be reckoned: {error}"
    return ""
