"""The Celery application of each alias, one in each process. Made, and Celery imported for it, when first needed.

Note [One queue a level]: RabbitMQ's quorum queues have no priorities, and Redis only pretends to. So each queue of
Django's is three of the broker's: `name.urgent` (priority above 0), `name`, and `name.background` (below 0). A
worker takes from each of them in turn, so a backlog in one holds up none of the others; `celery worker -Q` gives
one of them workers of its own.
"""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured
from django.tasks import task_backends

from ..queue.package import Package
from .conf import Options

if TYPE_CHECKING:
    from celery import Celery

RUN = "notifications.run"  # the one Celery task: it runs any Django task
LEVELS = {1: ".urgent", 0: "", -1: ".background"}


@cache
def celery_app(alias: str) -> "Celery":
    """Raises ImproperlyConfigured where Celery is not installed."""
    try:
        from celery import Celery
        from kombu.entity import Queue
    except ImportError as error:
        raise ImproperlyConfigured(
            f"TASKS[{alias!r}] needs Celery: install what requirements-celery.txt names."
        ) from error
    backend: Any = task_backends[alias]
    options: Options = backend.celery
    app = Celery(f"notifications-{alias}", set_as_current=False, fixups=set())
    app.conf.update(
        broker_url=options.broker_url,
        broker_connection_timeout=options.connect_timeout,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: a worker that ended is not there when the broker is back
        broker_transport_options=_transport_options(options),
        task_queues=[
            Queue(  # type: ignore[no-untyped-call]
                name, routing_key=name, durable=True, queue_arguments=_queue_arguments(options)
            )
            for name in broker_queues(options, backend.queues)
        ],
        task_default_queue=queue_of(options, "default", 0),
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # Acknowledged after the work: who dies in it leaves the message to somebody else.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        worker_prefetch_multiplier=1,
        # A connection that breaks is no reason to kill what is being sent: the row's lease knows who sends it.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_soft_time_limit=options.time_limit,
        task_time_limit=options.time_limit + 10,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_consumer="notifications.backends.celery.consumer:Consumer",
    )
    return app


def message(content: Package) -> dict[str, Any]:
    """The content of an entry as JSON: what `execution.run` takes."""
    plain = {name: value for name, value in content.items() if name != "run_after"}
    return {**plain, "args": list(content["args"])}


def aliases() -> list[str]:
    """Those of TASKS whose backend is this one."""
    from .backend import CeleryBackend

    return [alias for alias in task_backends if isinstance(task_backends[alias], CeleryBackend)]


def check_served(alias: str) -> Iterator[CheckMessage]:
    """One worker serves the queues of one alias; others may share them."""
    first = aliases()[0]
    mine, served = _served(alias), _served(first)
    if mine != served:
        yield Warning(
            f"`celery -A project worker` serves TASKS[{first!r}]: not {alias!r}, whose broker or queues are others.",
            hint=f"In a module of your own, say app = notifications.worker.app({alias!r}), and start a worker with "
            "`celery -A` and its name. Then put notifications.celery.W006 in SILENCED_SYSTEM_CHECKS.",
            id="notifications.celery.W006",
        )


def _served(alias: str) -> tuple[str, list[str]]:
    backend: Any = task_backends[alias]
    return backend.celery.broker_url, broker_queues(backend.celery, backend.queues)


def queue_of(options: Options, queue_name: str, priority: int) -> str:
    """The broker's queue for Django's queue and priority."""
    return f"{options.queue_prefix}{queue_name}{LEVELS[(priority > 0) - (priority < 0)]}"


def broker_queues(options: Options, queue_names: set[str]) -> list[str]:
    return [queue_of(options, name, level) for name in sorted(queue_names) for level in LEVELS]


def is_amqp(options: Options) -> bool:
    return options.broker_url.partition("://")[0] in {"amqp", "amqps", "pyamqp"}


def _queue_arguments(options: Options) -> dict[str, str] | None:
    return {"x-queue-type": "quorum"} if is_amqp(options) else None


def _transport_options(options: Options) -> dict[str, Any]:
    if is_amqp(options):
        return {"confirm_publish": True, "write_timeout": options.answer_timeout}
    return {
        # What a dead worker held comes back after this time: longer than any task runs.
        "visibility_timeout": options.time_limit + 30,
        "socket_connect_timeout": options.connect_timeout,
        "queue_order_strategy": "round_robin",
    }
