"""One trace from the request to the last attempt, and nothing of it where nobody asked for it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone
from django_q.models import OrmQ
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from rest_framework.test import APIClient

from notifications import senders, services, tracing
from notifications.exceptions import DeliveryError
from notifications.models import Notification, Status
from notifications.tracing.traces import Traces
from tests import recording_channel, worker
from tests.processes import manage, wait_until
from tests.turns import somebody_writing

pytestmark = pytest.mark.django_db(transaction=True)

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"  # the W3C's example
Ended = Callable[[], dict[str, list[ReadableSpan]]]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exporter: InMemorySpanExporter) -> Iterator[Traces]:
    """In use for the test."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(traces := Traces(provider))
    yield traces
    tracing.use(None)
    provider.shutdown()


@pytest.fixture
def ended(exporter: InMemorySpanExporter, traces: Traces) -> Ended:
    """The spans that have ended so far, by name."""

    def found() -> dict[str, list[ReadableSpan]]:
        spans: dict[str, list[ReadableSpan]] = {}
        for span in exporter.get_finished_spans():
            spans.setdefault(span.name, []).append(span)
        return spans

    return found


def work() -> None:
    worker.work()
    assert senders.wait_idle(20)


def post(api: APIClient, **fields: str) -> Notification:
    body = {"recipient": "you@example.com", "message": "a secret", "channel": "recording", **fields}
    answer = api.post(
        "/api/v1/notifications", body, format="json", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}
    )
    assert answer.status_code == 202
    return Notification.objects.get(pk=answer.json()["id"])


def ids(span: ReadableSpan) -> tuple[str, str]:
    """Of the trace, and of the span that this one is below."""
    assert span.context is not None
    assert span.parent is not None
    return f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}"


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


@pytest.mark.parametrize("channel", ["recording", "waiting"])
def test_one_trace(api: APIClient, ended: Ended, channel: str) -> None:
    """Request, acceptance, delivery in a worker and the channel's work: one below the other, with what they came to."""
    notification = post(api, via="queue", channel=channel)
    work()
    spans = ended()
    [request], [accept] = spans["POST notifications:notifications"], spans["accept"]
    [deliver], [send] = spans["deliver"], spans["send"]
    assert ids(request) == (TRACE, PARENT)
    assert ids(accept) == (TRACE, id_of(request))
    assert ids(deliver) == (TRACE, id_of(accept))
    assert ids(send) == (TRACE, id_of(deliver))
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 202
    about = {"notification.id": str(notification.pk), "notification.channel": channel}
    assert accept.attributes == about | {"notification.via": "queue"}
    came_to = {
        "notification.attempt": 1,
        "notification.outcome": "sent",
        "notification.status": "sent",
    }
    assert deliver.attributes == send.attributes == about | came_to
    assert deliver.kind == SpanKind.CONSUMER


@pytest.mark.slow
def test_on_a_thread(api: APIClient, ended: Ended) -> None:
    """The same in the process of the web server."""
    notification = post(api, via="thread")
    wait_until(lambda: "deliver" in ended())
    notification.refresh_from_db()
    assert ids(ended()["deliver"][0]) == (TRACE, id_of(ended()["accept"][0]))
    assert notification.status == Status.SENT


def test_the_next_attempt_belongs_to_it(api: APIClient, ended: Ended) -> None:
    """Each attempt is one more delivery below the acceptance; one that failed says so, and not why."""

    def fail(message: Any) -> None:
        raise DeliveryError(f"{message.recipient} does not want {message.body}")

    recording_channel.behaviours["you@example.com"] = fail
    post(api)
    work()
    recording_channel.behaviours.clear()
    OrmQ.objects.update(lock=timezone.now())
    Notification.objects.update(next_attempt_at=timezone.now())
    work()
    spans = ended()
    [accept] = spans["accept"]
    assert [ids(span) for span in spans["deliver"]] == [(TRACE, id_of(accept))] * 2
    assert [span.attributes and span.attributes["notification.outcome"] for span in spans["send"]] == [
        "retry",
        "sent",
    ]
    assert [span.status.status_code for span in spans["send"]] == [StatusCode.ERROR, StatusCode.UNSET]
    assert "you@example.com" not in repr([span.to_json() for all in spans.values() for span in all])


def test_merged_with_others(api: APIClient, traces: Traces, ended: Ended) -> None:
    """What a worker takes together stays in the trace of each; what came without one begins its own."""
    one = post(api)
    tracing.use(None)
    other = services.accept(recipient="you@example.com", message="hi", channel="recording", via="queue")
    tracing.use(traces)
    many = services.accept_many(
        [{"recipient": "you@example.com", "message": "hi", "channel": "recording"}] * 2
    )
    work()
    assert len(recording_channel.batches) == 1
    above = {
        str(span.attributes["notification.id"]): span.parent and f"{span.parent.span_id:016x}"
        for span in ended()["deliver"]
        if span.attributes
    }
    [first, batch] = ended()["accept"]
    assert above == {str(one.pk): id_of(first), str(other.pk): None} | {
        str(row.pk): id_of(batch) for row in many if isinstance(row, Notification)
    }
    assert batch.attributes == {"notification.count": 2}


def test_a_worker_without_traces(api: APIClient, ended: Ended) -> None:
    """It delivers what came with one."""
    notification = post(api)
    tracing.use(None)
    work()
    notification.refresh_from_db()
    assert notification.status == Status.SENT
    assert "deliver" not in ended()


def test_no_address_and_no_text(api: APIClient, ended: Ended) -> None:
    """Not in the path, not in a query, not in an error: no span holds them."""
    api.post("/send-notification/you@example.com?message=a+secret&via=queue")
    api.post("/send-notification/you@example.com?via=pigeon")
    work()
    spans = [span for all in ended().values() for span in all]
    assert {span.name for span in spans} == {
        "POST notifications:send-notification",
        "accept",
        "deliver",
        "send",
    }
    for text in ("example.com", "secret"):
        assert text not in repr([span.to_json() for span in spans])


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, False),
    ],
)
def test_who_asks_for_it(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], asked: bool) -> None:
    """The standard variables of OpenTelemetry, and nothing else."""
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", *tracing.ENDPOINTS):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert tracing.is_asked_for() == asked


def test_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`manage.py check` says what to install."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setattr(tracing, "is_installed", lambda: False)
    call_command("check")
    assert "notifications.W018" in capsys.readouterr().err


@pytest.mark.process
def test_nothing_is_imported_for_nobody() -> None:
    """Where no variable asks for traces, not a module of OpenTelemetry is loaded."""
    script = (
        "import sys; from notifications import services; print([m for m in sys.modules if 'opentel' in m])"
    )
    assert manage("shell", "--no-imports", "-c", script, env={"DEBUG": "true"}).stdout == "[]\n"


def test_who_shares_a_write_keeps_its_own_trace(ended: Ended) -> None:
    """Law: another thread may write what this one accepted; what is delivered is below its own acceptance."""

    def accept(name: str) -> Notification:
        try:
            return services.accept(recipient=f"{name}@example.com", message="hello", channel="recording")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as threads:
        with somebody_writing(services._gathering):
            futures = [threads.submit(accept, name) for name in "abc"]
            wait_until(lambda: len(services._gathering._waiting) == 3)
        given = {str(future.result().pk) for future in futures}
    assert OrmQ.objects.count() == 1
    work()
    spans = ended()
    accepted = {span.attributes["notification.id"]: span for span in spans["accept"] if span.attributes}
    assert accepted.keys() == given
    for span in spans["deliver"]:
        assert span.attributes
        assert ids(span)[1] == id_of(accepted[span.attributes["notification.id"]])
