"""The calls that the entries of a job make: one each, or one for many where they merge."""

from dataclasses import dataclass, field
from datetime import datetime

from django.tasks import TaskResult
from django_q.conf import Conf

from . import package
from .package import Package, Target
from .processes import Job

MOST_LIMITS = 4  # time limits that a merged call may take
LONGEST = 10**9  # seconds. In nanoseconds more of them would not fit into the worker's slot


@dataclass(slots=True)
class Call:
    """One call to make: of one entry, or of many that a mergeable task takes as one."""

    target: Target
    packages: list[Package]
    pks: list[int]
    index: int  # of its first entry in the job
    started: datetime | None = None
    task_results: list[TaskResult] = field(default_factory=list)

    @property
    def limit(self) -> float | None:
        """Seconds. Each entry brings its own, up to a bound: a stuck call must not hold its worker for days."""
        limits = [_limit(content) for content in self.packages]
        if not all(limit > 0 for limit in limits):
            return None
        return float(min(sum(limits), MOST_LIMITS * max(limits)))


def plan(job: Job) -> tuple[list[Call], dict[int, str]]:
    """The calls of a job in order, merged where they may be, and what cannot be run here and why."""
    calls: list[Call] = []
    unknown: dict[int, str] = {}
    for index, (pk, payload) in enumerate(job.entries):
        try:
            content = package.unpack(payload)
            target = package.target(content)
        except (Exception, SystemExit) as error:  # noqa: BLE001  see Note [Whatever an entry holds]
            unknown[pk] = package.shown(error)
            continue
        if calls and _may_join(calls[-1], target, content, index):
            calls[-1].packages.append(content)
            calls[-1].pks.append(pk)
        else:
            calls.append(Call(target, [content], [pk], index))
    return calls, unknown


def _limit(content: Package) -> float:
    """Seconds; not above 0 is no limit. What is no number says nothing, and the cluster's own holds."""
    limit = content.get("timeout", Conf.TIMEOUT)
    if limit is not None and not isinstance(limit, int | float):
        limit = Conf.TIMEOUT
    return min(limit or 0, LONGEST)


def _may_join(call: Call, target: Target, content: Package, index: int) -> bool:
    return (
        target.mergeable
        and call.target == target
        and call.index + len(call.pks) == index
        and _is_one_list(content)
        and _is_one_list(call.packages[-1])
    )


def _is_one_list(content: Package) -> bool:
    """One that was running when a worker died runs alone from then on, so that it harms nobody else."""
    args = content["args"]
    is_new = not content.get("crashes") and package.ENDED not in content
    return is_new and len(args) == 1 and isinstance(args[0], list) and not content["kwargs"]
