"""What is in an entry: django-q2's signed package, made from a call and read back.

The package holds builtin types only, and names its function by path (`app.tasks.deliver.call`), so entries
outlive a deploy, and django-q2's admin can show and resubmit them.

Note [Whatever an entry holds]: `async_task` takes any function and any argument. To read them runs code that is not
ours: modules are imported, objects unpickled, their attributes looked up. So any error may come of it, an exit too.
Whoever reads for others, the pusher above all, takes each of them for "this version cannot run it": one entry is
kept, and nobody else waits for it.
"""

import functools
import pydoc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import uuid_utils
from django.tasks import DEFAULT_TASK_QUEUE_NAME, Task
from django.tasks.base import DEFAULT_TASK_PRIORITY

from ...background.calls import name_of
from ..mergeable import is_mergeable
from . import signing

Package = dict[str, Any]
ENDED = "ended"  # in a package: the error it has ended with, see Note [Ended]


class UnknownFunction(LookupError):
    """This version of the code has no such function. Another one may."""


class UnreadablePackage(ValueError):
    """The payload is not signed by us, or holds something this version cannot load."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an entry calls: the function, and the Django task it belongs to (None for a plain function)."""

    path: str
    call: Callable[..., Any]
    task: Task | None

    @property
    def mergeable(self) -> bool:
        if self.task is None:
            return is_mergeable(self.call)
        return is_mergeable(self.task.func) and not self.task.takes_context


def new_id() -> str:
    """32 hex digits that carry the time: UUIDv7, so results are written in the order of their index."""
    return uuid_utils.uuid7().hex


def created_at(task_id: str) -> datetime | None:
    """When a UUIDv7 was made (milliseconds); None for the random ids of `async_task`."""
    if len(task_id) != 32 or task_id[12] != "7":
        return None
    return datetime.fromtimestamp(int(task_id[:12], 16) / 1000, UTC)


def pack(task: Task, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The payload of one call. `args` and `kwargs` are JSON values already."""
    return signing.dumps(content(task, task_id, args, kwargs))


def content(task: Task, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Package:
    package: Package = {
        "func": f"{task.module_path}.call",
        "id": task_id,
        "name": task.name,
        "args": tuple(args),
        "kwargs": dict(kwargs),
        "backend": task.backend,
    }
    if task.priority != DEFAULT_TASK_PRIORITY:
        package["priority"] = task.priority
    if task.run_after is not None:
        package["run_after"] = task.run_after
    if task.queue_name != DEFAULT_TASK_QUEUE_NAME:
        package["cluster"] = task.queue_name  # django-q2's word for it
    return package


def unpack(payload: str) -> Package:
    """Raise UnreadablePackage where the signature is wrong or the content cannot be loaded here."""
    try:
        package: Package = signing.loads(payload)
        package["id"], package["func"], package["args"], package["kwargs"]
    except (Exception, SystemExit) as error:  # see Note [Whatever an entry holds]
        raise UnreadablePackage(shown(error)) from error
    return package


def target(package: Package) -> Target:
    """Raise UnknownFunction where this version has no such function."""
    func = package["func"]
    if callable(func):  # async_task(function): pickled by reference
        return Target(path_of(func), func, None)
    return locate(func)


def target_of_payload(payload: str) -> Target:
    """Where to send an entry, mostly without unpacking it. Raise UnreadablePackage or UnknownFunction."""
    path = signing.peek_func(payload)
    if path is not None:
        try:
            return locate(path)
        except UnknownFunction:  # or a misread one: the package itself decides
            pass
    return target(unpack(payload))


def shown(value: Any) -> str:
    """Its `repr`, if it gives one: see Note [Whatever an entry holds]."""
    try:
        return repr(value)
    except (Exception, SystemExit):  # noqa: BLE001
        return object.__repr__(value)


def path_of(func: Any) -> str:
    return func if isinstance(func, str) else name_of(func)


@functools.cache
def locate(path: str) -> Target:
    """The function at a dotted path. Only what was found is remembered: a failed look is tried again."""
    try:
        found = pydoc.locate(path)
    except pydoc.ErrorDuringImport as error:
        raise UnknownFunction(f"{path} cannot be imported: {error}") from error
    if not callable(found):
        raise UnknownFunction(f"{path} is not a function here")
    owner = getattr(found, "__self__", None)
    return Target(path, found, owner if isinstance(owner, Task) else None)
