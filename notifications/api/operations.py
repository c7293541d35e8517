"""The name of a call, which its handler wears. What the schema says under that name is in `descriptions`.

Only the schema needs that, and drf-spectacular, which brings Django's test framework: 4 MB of each web process. So they
are loaded when somebody asks for the schema.
"""

from collections.abc import Callable
from typing import Any


def operation[F: Callable[..., Any]](name: str) -> Callable[[F], F]:
    """`name` is one of `descriptions`; a name that is not there stops the schema, which `make check` makes."""

    def wear(handler: F) -> F:
        handler.operation = name  # type: ignore[attr-defined]
        return handler

    return wear
