"""The spans `accept`, `deliver` and `send` of each notification, below the request's. Imported where they are wanted.

Attributes are ids, channels, numbers and outcomes. No address, no text and no message of an exception gets in here.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..statements import Claim, Record

PROPAGATOR = TraceContextTextMapPropagator()
HEADERS = {"traceparent": "HTTP_TRACEPARENT", "tracestate": "HTTP_TRACESTATE", "baggage": "HTTP_BAGGAGE"}


@dataclass(slots=True)
class Delivery:
    """The spans of what is under way, by notification."""

    deliver: dict[str, Span]
    send: dict[str, Span] = field(default_factory=dict)
    sent_at: int = 0  # nanoseconds since the epoch: when the channel had done its work

    def end(self) -> None:
        for span in (*self.send.values(), *self.deliver.values()):
            if span.is_recording():
                span.end()


_came_with: ContextVar[Mapping[str, str]] = ContextVar("came_with", default={})  # noqa: B039  (never changed)
_delivery: ContextVar[Delivery | None] = ContextVar("delivery", default=None)


class Traces:
    def __init__(self, provider: trace.TracerProvider) -> None:
        self.tracer = provider.get_tracer("notifications")

    @classmethod
    def by_environment(cls) -> "Traces":
        """Names, sampling, batches and addresses are the SDK's to read. Where somebody has set it up, it is taken."""
        provider = trace.get_tracer_provider()
        if isinstance(provider, ProxyTracerProvider):
            provider = TracerProvider()
            provider.add_span_processor(BatchSpanProcessor(_exporter()))
            trace.set_tracer_provider(provider)
        return cls(provider)

    def accepting(self, accept: Callable[..., Any], *args: Any) -> Any:
        with self._span("accept") as span:
            accepted = accept(*args)
            if isinstance(accepted, Sequence):
                span.set_attribute("notification.count", len(accepted))
            else:
                span.set_attributes(
                    _about(str(accepted.pk), accepted.channel) | {"notification.via": accepted.via}
                )
            return accepted

    def carried(self, id: str) -> str:
        context = _came_with.get().get(id) or _written(None)
        return f"{id} {context}" if context else id

    def remember(self, came_with: Mapping[str, str]) -> None:
        _came_with.set(came_with)

    def request(self, meta: Mapping[str, Any]) -> Any:
        headers = {name: meta[key] for name, key in HEADERS.items() if key in meta}
        return self._span("request", context=extract(headers), kind=SpanKind.SERVER)

    def answered(self, method: str, route: str, status: int) -> None:
        # https://opentelemetry.io/docs/specs/semconv/http/http-spans/
        span = trace.get_current_span()
        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(StatusCode.ERROR)

    @contextmanager
    def delivering(self, claims: Sequence[Claim]) -> Iterator[None]:
        contexts = _came_with.get()
        delivery = Delivery({claim.id: self._deliver(claim, contexts.get(claim.id, "")) for claim in claims})
        token = _delivery.set(delivery)
        try:
            if len(claims) == 1:  # what else is traced in there belongs to it
                with trace.use_span(delivery.deliver[claims[0].id], record_exception=False):
                    yield
            else:
                yield
        finally:
            delivery.end()
            _delivery.reset(token)

    @contextmanager
    def sending(self, claims: Sequence[Claim]) -> Iterator[None]:
        delivery = _delivery.get()
        assert delivery is not None
        for claim in claims:
            context = trace.set_span_in_context(delivery.deliver[claim.id])
            delivery.send[claim.id] = self._start("send", claim, context, SpanKind.CLIENT)
        try:
            if len(claims) == 1:
                with trace.use_span(delivery.send[claims[0].id], record_exception=False):
                    yield
            else:
                yield
        finally:
            delivery.sent_at = time.time_ns()

    def came_to(self, records: Sequence[Record]) -> None:
        delivery = _delivery.get()
        assert delivery is not None
        for record in records:
            attributes = {"notification.outcome": record.outcome, "notification.status": record.status}
            deliver, send = delivery.deliver[record.id], delivery.send.get(record.id)
            deliver.set_attributes(attributes)
            if record.error:
                deliver.set_status(StatusCode.ERROR)
            if send is not None:
                send.set_attributes(attributes)
                if record.error:
                    send.set_status(StatusCode.ERROR)
                send.end(delivery.sent_at)

    def _deliver(self, claim: Claim, came_with: str) -> Span:
        context = PROPAGATOR.extract({"traceparent": came_with}, Context()) if came_with else Context()
        return self._start("deliver", claim, context, SpanKind.CONSUMER)

    def _start(self, name: str, claim: Claim, context: Context, kind: SpanKind) -> Span:
        attributes = _about(claim.id, claim.channel) | {"notification.attempt": claim.attempt}
        return self.tracer.start_span(name, context, kind, attributes)

    def _span(self, name: str, **options: Any) -> Any:
        return self.tracer.start_as_current_span(name, record_exception=False, **options)


def _about(id: str, channel: str) -> dict[str, Any]:
    return {"notification.id": id, "notification.channel": channel}


def _written(context: Context | None) -> str:
    """The trace context of the span that is current there; "" if none is."""
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier, context)
    return carrier.get("traceparent", "")


def _exporter() -> SpanExporter:
    """Raises ImproperlyConfigured for a name that is not known here."""
    name = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if name == "console":
        return ConsoleSpanExporter()
    if name != "otlp":
        raise ImproperlyConfigured(f"OTEL_TRACES_EXPORTER is {name!r}. Choose one of: otlp, console, none.")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
