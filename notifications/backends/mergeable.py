"""A mark for tasks whose waiting calls may be joined: `deliver([a])` and `deliver([b])` become `deliver([a, b])`."""

from collections.abc import Callable


def mergeable[F: Callable[..., object]](func: F) -> F:
    """Promise that `func` takes one list, and that one call with the joined list does what the single calls do.

    A backend may then run calls that wait at the same time as one. It still keeps a result for each of them.
    """
    func.mergeable = True  # type: ignore[attr-defined]
    return func


def is_mergeable(func: Callable[..., object]) -> bool:
    return getattr(func, "mergeable", False)
