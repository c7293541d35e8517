"""django-q2's record of a finished task, as it writes it."""

import pickle
from typing import Any

from picklefield.fields import dbsafe_encode  # type: ignore[import-untyped]

from .package import Package


def row(content: Package, path: str, encoded: str | None) -> tuple[Any, ...]:
    """django-q2's row of a finished task with its `encode`d result, in the order of `texts.TASK_COLUMNS`."""
    group = content.get("group")
    return (
        content["id"],
        str(content.get("name") or path)[:100],
        path[:256],
        None,
        encode(content["args"]),
        encode(content["kwargs"]) if content["kwargs"] else NO_KWARGS,
        encoded,
        str(group)[:100] if group is not None else None,
        content["cluster"],
        content["started"],
        content["stopped"],
        content["success"],
        content.get("crashes", 0) + 1,
    )


def encode(value: Any) -> str | None:
    """As django-q2's PickledObjectField writes it."""
    if value is None:
        return None
    try:
        return str(dbsafe_encode(value, pickle_protocol=-1, copy=False))
    except Exception:  # noqa: BLE001  (any object's own __reduce__ runs; the task itself has succeeded)
        return str(dbsafe_encode(_shown(value), pickle_protocol=-1, copy=False))


def storable(value: Any) -> Any:
    """For django-q2's own code, which keeps nothing of a task where something in it does not pickle."""
    try:
        pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001  (as in `encode`)
        return _shown(value)
    return value


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  (its __repr__ is the author's, too)
        return object.__repr__(value)


NO_KWARGS = encode({})
