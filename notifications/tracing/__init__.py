"""Traces by OpenTelemetry, where they are wanted: one from the request that brings a notification to its last attempt.

Off, which it is unless the standard variables ask for it, nothing is imported, and each hook is a look at a name.

Note [How a trace goes on]: what a task is given for each notification is its id and, behind a space, the W3C trace
context of its acceptance. So it takes every way that a task takes (thread, queue, broker, the next attempt, merged with
others) and costs no column and no statement. What the sweep finds has lost it, and begins a trace of its own.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..statements import Claim, Record
    from .traces import Traces

ID = 36  # characters of a notification's id
NOTHING: AbstractContextManager[Any] = nullcontext()
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_is_wanted = False
_traces: "Traces | None" = None
_making = threading.Lock()


def is_asked_for() -> bool:
    """Whether the environment says where traces go. https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/"""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "")
    return exporter != "none" and bool(exporter or any(os.environ.get(name) for name in ENDPOINTS))


def is_installed() -> bool:
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


def begin() -> None:
    """Trace from now on, if that is asked for and can be done. What it takes is made when first used: after a fork."""
    global _is_wanted
    _is_wanted = is_asked_for() and is_installed()


def use(traces: "Traces | None") -> None:
    """These from now on, or none."""
    global _is_wanted, _traces
    _is_wanted, _traces = traces is not None, traces


def accepting[F: Callable[..., Any]](accept: F) -> F:
    """A span around `accept(what, …)`, which returns one notification or many."""

    @wraps(accept)
    def traced(*args: Any) -> Any:
        if not _is_wanted:
            return accept(*args)
        return _current().accepting(accept, *args)

    return traced  # type: ignore[return-value]


def carried(id: str) -> str:
    """What a task is given for this notification. Note [How a trace goes on]"""
    return _current().carried(id) if _is_wanted else id


def received(items: Iterable[str]) -> list[str]:
    """The ids in what tasks were given; what came with them is remembered in this context."""
    items = list(items)
    if _is_wanted:
        _current().remember({item[:ID]: item[ID + 1 :] for item in items if len(item) > ID})
    return [item[:ID] for item in items]


def request(meta: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Around a request with these headers, as WSGI spells them. A trace that they name goes on."""
    return _current().request(meta) if _is_wanted else NOTHING


def answered(method: str, route: str, status: int) -> None:
    """Inside `request`, at its end. The route and never the path, for there may be an address in it."""
    if _is_wanted:
        _current().answered(method, route, status)


def delivering(claims: "Sequence[Claim]") -> AbstractContextManager[Any]:
    """Around all that is done for these, until it is recorded."""
    return _current().delivering(claims) if _is_wanted else NOTHING


def sending(claims: "Sequence[Claim]") -> AbstractContextManager[Any]:
    """Inside `delivering`, around a channel's `send`."""
    return _current().sending(claims) if _is_wanted else NOTHING


def came_to(records: "Sequence[Record]") -> None:
    """Inside `delivering`: what was sent has come to this."""
    if _is_wanted:
        _current().came_to(records)


def _current() -> "Traces":
    global _traces
    if _traces is None:
        from .traces import Traces

        with _making:
            _traces = _traces or Traces.by_environment()
    return _traces


def _after_fork() -> None:
    global _making
    _making = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
