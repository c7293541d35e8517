"""Which of django-q2's schedules cannot be enqueued, and why; and how they are kept from stopping all others.

django-q2's scheduler enqueues what is due in one transaction. An error at one schedule rolls all of them back, at every
round, and its line in the log names none. So whoever calls it puts off before what would fail.
"""

import ast
import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import Schedule

logger = logging.getLogger(__name__)

LATER = timedelta(minutes=1)  # then it is looked at again: somebody may have mended it

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
    for schedule, reason in _broken(Schedule.objects.exclude(next_run=None)):
        yield _name(schedule), reason


def put_off() -> None:
    """Give those of this cluster that are due and cannot be enqueued a later time, and log each by its name."""
    now = timezone.now()
    mine = Q(cluster=Conf.CLUSTER_NAME)
    if Conf.CLUSTER_NAME == Conf.PREFIX:
        mine |= Q(cluster=None)
    for schedule, reason in _broken(Schedule.objects.filter(mine, next_run__lt=now)):
        # Unless somebody has changed it meanwhile.
        unchanged = Schedule.objects.filter(pk=schedule.pk, next_run=schedule.next_run)
        if unchanged.update(next_run=now + LATER):
            logger.error("schedule=%r outcome=put_off reason=%r", _name(schedule), reason)


def _broken(schedules: Any) -> Iterable[tuple[Schedule, str]]:
    for schedule in schedules.exclude(repeats=0).order_by("pk"):
        if reason := _reason(schedule):
            yield schedule, reason


def _name(schedule: Schedule) -> str:
    return f"{schedule.name or schedule.func} (id {schedule.pk})"


def _reason(schedule: Schedule) -> str:
    """As the scheduler reads it. "" for nothing."""
    try:
        if schedule.args:
            ast.literal_eval(schedule.args)
    except ERRORS:
        return "its args are no Python literals"
    try:
        kwargs = _kwargs(schedule.kwargs)
    except ERRORS as error:
        return f"its kwargs cannot be read: {error}"
    if not isinstance(kwargs, dict):
        return "its kwargs are a literal, but no dict"
    if not all(isinstance(name, str) for name in kwargs):
        return "its kwargs have a name that is no text"
    if not isinstance(kwargs.get("q_options", {}), dict):
        return "its q_options are no dict"
    try:
        if schedule.schedule_type != Schedule.ONCE:
            schedule.calculate_next_run(schedule.next_run)
    except ERRORS as error:
        return f"its next run cannot be reckoned: {error}"
    return ""


def _kwargs(text: str | None) -> Any:
    """A literal, or else `name=value, ...`; what cannot be read as either is left out by the scheduler."""
    if not text:
        return {}
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        pass
    try:
        call: Any = ast.parse(f"f({text})").body[0]
        return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.value.keywords}
    except (SyntaxError, ValueError):
        return {}
