"""Publishes what the outbox holds. All state of this process towards the broker is here.

Note [A broker that is down costs nobody anything]: no request talks to the broker, only background threads do.
The first failure opens the breaker: for PAUSE seconds nobody in this process tries, and the entries stay in the
database for whoever comes first, this process or the housekeeping of any worker.

Note [A message that is refused holds up no other]: RabbitMQ refuses one that is larger than it allows, or whose queue
exists with other arguments. It would refuse it each time, and whatever stands behind it would never be published. So
it is passed over, and tried again when REFUSED_FOR has passed.
"""

import logging
import os
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.tasks import task_backends

from notifications.background.tasks import BackgroundTask

from ..fallback import taker_of
from ..queue import QueueBackend
from ..queue.package import Package
from . import outbox
from .app import RUN, broker_queues, celery_app, is_amqp, message, queue_of
from .conf import Options

logger = logging.getLogger(__name__)

PAUSE = 5.0  # seconds without a try after one that failed
REFUSED_FOR = timedelta(minutes=1)
LIMIT = 500  # entries that housekeeping publishes at once
PROBE_EVERY = 5.0  # seconds between two looks whether the broker is there

Item = tuple[int, Package]  # an entry's primary key and its content


class Publisher:
    """One connection to the broker of one alias, used by one thread at a time."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        backend: Any = task_backends[alias]
        self.options: Options = backend.celery
        self.queues: set[str] = backend.queues
        self.lock = threading.Lock()
        self.connection: Any = None
        self.closed_until = 0.0  # the breaker: no try before this moment of the monotonic clock
        self.seen_at = -PROBE_EVERY

    @property
    def is_down(self) -> bool:
        """Whether the last try failed, a moment ago. Asks nobody."""
        return time.monotonic() < self.closed_until

    def publish(self, items: Sequence[Item]) -> bool:
        """Give these to the broker, and delete what it has confirmed. The rest goes to the queue, if it stands in.

        False: it does not, and the rest stays for later. What is refused counts as dealt with.
        """
        left, done, refused = list(items), list[int](), list[int]()
        with self.lock:
            try:
                if not self.is_down:
                    self._send(left, done, refused)
            except self._errors() as error:
                self._failed(error)
        outbox.delete(done)
        outbox.postpone(refused, REFUSED_FOR)
        if left and self.is_replaced():
            outbox.hand_over(left)
            logger.warning("broker=down alias=%s handed_over=%d", self.alias, len(left))
            return True
        outbox.release([pk for pk, _ in left])
        return not left

    def is_replaced(self) -> bool:
        """Whether a queue in the same database does the work meanwhile."""
        taker = taker_of(self.alias)
        return taker != self.alias and isinstance(task_backends[taker], QueueBackend)

    def reaches_broker(self) -> bool:
        """Look, at most every PROBE_EVERY seconds. Takes no longer than the time to connect."""
        if self.is_down or not self.lock.acquire(timeout=self.options.connect_timeout):
            return False
        try:
            if time.monotonic() > self.seen_at + PROBE_EVERY:
                self._waiting()
        except self._errors() as error:
            self._failed(error)
        finally:
            self.lock.release()
        return not self.is_down

    def waiting(self) -> int:
        """How many messages wait for a worker. 0 where the broker cannot be asked: it holds none for us."""
        with self.lock:
            try:
                return 0 if self.is_down else self._waiting()
            except self._errors() as error:
                self._failed(error)
                return 0

    def _send(self, left: list[Item], done: list[int], refused: list[int]) -> None:
        """Takes away from `left` what is done, and what is refused."""
        from amqp.exceptions import PreconditionFailed

        app = celery_app(self.alias)
        again = self.connection is not None  # one that lay idle may have been cut: that is no failure yet
        while left:
            try:
                with app.amqp.Producer(self._connect(), auto_declare=False) as producer:
                    while left:
                        pk, content = left[0]
                        app.send_task(
                            RUN,
                            args=[message(content)],
                            task_id=f"celery-{content['id']}-{pk}",
                            queue=queue_of(self.options, content["queue"], content.get("priority", 0)),
                            producer=producer,
                            retry=False,
                            confirm_timeout=self.options.answer_timeout,
                        )
                        done.append(pk)
                        del left[0]
            except PreconditionFailed as error:  # Note [A message that is refused holds up no other]
                self._disconnect()
                pk, content = left.pop(0)
                refused.append(pk)
                logger.error(
                    "task=%s id=%s outcome=refused reason=%r", content["name"], content["id"], str(error)
                )
            except self._errors():
                self._disconnect()
                if not again:
                    raise
                again = False
        self.seen_at = time.monotonic()

    def _waiting(self) -> int:
        waiting = 0
        channel = self._connect().channel()
        try:
            for name in broker_queues(self.options, self.queues):
                try:
                    waiting += channel.queue_declare(queue=name, passive=True).message_count
                except self.connection.channel_errors:  # nobody has made this queue yet: so it is empty
                    channel = self._connect().channel()
        finally:
            channel.close()
        self.seen_at = time.monotonic()
        return waiting

    def _connect(self) -> Any:
        """Nothing that is done with it takes longer than answer_timeout, be the broker stopped in the middle of it."""
        if self.connection is None:
            limit = {} if is_amqp(self.options) else {"socket_timeout": self.options.answer_timeout}
            self.connection = celery_app(self.alias).connection_for_write(
                heartbeat=0, transport_options=limit
            )
        self.connection.ensure_connection(max_retries=max(len(self.connection.alt) - 1, 0))
        if is_amqp(self.options):  # not by its read_timeout, which is none with TLS
            self.connection.connection.sock.settimeout(self.options.answer_timeout)
        return self.connection

    def _disconnect(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.collect(socket_timeout=0.1)

    def _failed(self, error: Exception) -> None:
        self._disconnect()
        self.closed_until = time.monotonic() + PAUSE
        logger.warning(
            "broker=down alias=%s error=%s reason=%r", self.alias, type(error).__name__, str(error)
        )

    def _errors(self) -> tuple[type[Exception], ...]:
        """Whatever it is that says that the broker is not there, or that it refuses."""
        from kombu.exceptions import KombuError

        known = celery_app(self.alias).connection_for_write()
        return (KombuError, OSError, *known.connection_errors, *known.channel_errors)


class Publication(BackgroundTask):
    """The publishing of some entries as the pool sees it: after the response, in this process."""

    def __init__(self, alias: str, items: Sequence[Item]) -> None:
        self.alias = alias
        self.items = list(items)
        self.merge_key = (Publication, alias)
        self._prepare(items[0][1]["id"], f"{__name__}.publish")

    def _call(self) -> None:
        publisher(self.alias).publish(self.items)

    def merged(self, others: Sequence[Any]) -> BackgroundTask:
        for other in others:
            self.items += other.items
        return self

    def divert(self, reason: str) -> bool:
        """Housekeeping publishes them when the hold has passed."""
        logger.info("publication=left count=%d reason=%r", len(self.items), reason)
        return True


def publish_due(alias: str) -> int:
    """Publish (or hand over) what is due and nobody holds: in any process, at any time. Returns how many these were."""
    mine, count = publisher(alias), 0
    while (not mine.is_down or mine.is_replaced()) and (items := outbox.claim(alias, LIMIT)):
        if not mine.publish(items):
            break
        count += len(items)
    return count


_publishers: dict[str, Publisher] = {}
_making = threading.Lock()


def publisher(alias: str) -> Publisher:
    """That of this process."""
    with _making:
        if alias not in _publishers:
            _publishers[alias] = Publisher(alias)
        return _publishers[alias]


def forget() -> None:
    """After a fork the connections are the parent's."""
    global _making
    _publishers.clear()
    _making = threading.Lock()


os.register_at_fork(after_in_child=forget)


@receiver(setting_changed)
def forget_brokers(*, setting: str, **kwargs: Any) -> None:
    if setting == "TASKS":
        _publishers.clear()
        celery_app.cache_clear()
