"""django-q2's record of a finished task, as it writes it."""

import pickle
from typing import Any

from picklefield.fields import dbsafe_encode  # type: ignore[import-untyped]

from .package import Package, shown

type Row = tuple[Any, ...]  # in the order of `texts.TASK_COLUMNS`


def row(content: Package, path: str, encoded: str | None) -> Row:
    """django-q2's row of a finished task with its `encode`d result."""
    group = content.get("group")
    return (
        content["id"],
        _text(content.get("name") or path),
        _text(path, 256),
        None,
        encode(content["args"]),
        encode(content["kwargs"]) if content["kwargs"] else NO_KWARGS,
        encoded,
        _text(group) if group is not None else None,
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
        return str(dbsafe_encode(shown(value), pickle_protocol=-1, copy=False))


def instead_of(refused: Row, error: Exception) -> Row | None:
    """For a row that the database does not take: what can be stored, and why there is no more. None: nothing can."""
    head, (args, _, _), tail = refused[:4], refused[4:7], refused[7:]
    if args is None:  # it was that already
        return None
    why = f"{type(error).__module__}.{type(error).__qualname__}: the result cannot be stored: {error}"
    return (*head, None, None, encode(why), *tail)


def storable(content: Package) -> None:
    """For django-q2's own code, which keeps nothing of a task where something in it cannot be stored."""
    for name in ("args", "kwargs", "result"):
        try:
            pickle.dumps(content[name], pickle.HIGHEST_PROTOCOL)
        except Exception:  # noqa: BLE001  (as in `encode`)
            content[name] = shown(content[name])
    for name in ("name", "group"):
        if content.get(name) is not None:
            content[name] = _text(content[name])


def _text(value: Any, length: int = 100) -> str:
    """As a column takes it: PostgreSQL no NUL, and neither database what is no Unicode."""
    text = str(value)
    if not text.isprintable():
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    return text[:length]


NO_KWARGS = encode({})
