"""The backend as Django's task framework sees it. It keeps no state: Django makes one in every thread."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.tasks import Task, TaskResult
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.exceptions import TaskResultDoesNotExist
from django.tasks.signals import task_enqueued
from django.utils import timezone

from notifications.background import pool
from notifications.background.tasks import BackgroundTasks, collector
from notifications.background.transactions import when_committed

from ..fallback import check_fallback, taker_of
from ..queue import package, results
from ..queue.backend import Call, refuse_unreachable
from . import outbox
from .app import check_served
from .conf import Options, check_options
from .publisher import Item, Publication, publish_due, publisher

PREFIX = "celery-"  # of a result's id; then the task's id and the entry's primary key
BEAT = "celery@"  # what a Celery worker's heartbeat begins with; a cluster's has no @


class CeleryBackend(BaseTaskBackend):
    """Runs tasks in `celery -A project worker`. OPTIONS: see `.conf.Options`.

    A result can be read while its task waits in the database. What is with the broker, runs or has finished is
    kept nowhere, so `supports_get_result` is False.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = False
    supports_priority = True  # in three levels: Note [One queue a level]
    # The outbox lies in the caller's database: a task counts if and only if the transaction commits.
    enqueues_in_transaction = True
    beats_as = BEAT + "{worker}"
    worker_command = "celery -A project worker"

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.celery = Options.from_options(self.options)

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Raise InvalidTask where no worker could find the task again, TypeError for what is not JSON."""
        return self.enqueue_many([(task, args, kwargs)])[0]

    def enqueue_many(self, calls: Iterable[Call]) -> list[TaskResult]:
        """Write all calls by one statement, in the caller's transaction, and publish them when it has committed."""
        enqueued: list[TaskResult] = []
        contents: list[package.Package] = []
        for task, args, kwargs in calls:
            self.validate_task(task)
            refuse_unreachable(task)
            result = results.ready(task, package.new_id(), args, kwargs, self.alias)
            content = package.content(task, result.id, result.args, result.kwargs)
            contents.append({**content, "queue": task.queue_name})
            enqueued.append(result)
        if not enqueued:
            return enqueued
        pks = outbox.write(self.alias, contents, [result.task.run_after for result in enqueued])
        now: list[Item] = []
        for result, content, pk in zip(enqueued, contents, pks, strict=True):
            object.__setattr__(result, "id", f"{PREFIX}{result.id}-{pk}")
            if result.task.run_after is None:
                now.append((pk, content))
            task_enqueued.send(type(self), task_result=result)
        if now:
            self._publish_soon(now)
        return enqueued

    def _publish_soon(self, items: list[Item]) -> None:
        publication = Publication(self.alias, items)
        request = collector.get()
        if request is not None:
            request.collect(publication)
        else:
            when_committed(lambda: BackgroundTasks([publication]).hand_to(pool.submit))

    def get_result(self, result_id: str) -> TaskResult:
        """While it waits in the database; see the class."""
        pk = results.entry_pk(result_id.removeprefix(PREFIX))
        content = outbox.content_of(pk) if pk is not None and result_id.startswith(PREFIX) else None
        result = results.of_package(content, result_id, self.alias) if content else None
        if result is None:
            raise TaskResultDoesNotExist(result_id)
        return result

    def missing(self, result_ids: Iterable[str]) -> set[str]:
        """Those of `result_ids` that are neither in the database nor, as far as one can tell, with the broker.

        Note [What the broker still has]: nobody can ask a broker for one message. While messages wait for
        workers, ours may be among them. When none waits, each has been given to a worker, and one that is older
        than LOST_AFTER has been lost on the way.
        """
        ids = set(result_ids)
        mine = {id: results.entry_pk(id.removeprefix(PREFIX)) for id in ids if id.startswith(PREFIX)}
        there = outbox.existing([pk for pk in mine.values() if pk is not None])
        limit = timezone.now() - timedelta(seconds=self.celery.lost_after)
        unsure = {id for id, pk in mine.items() if pk not in there}
        young = {id for id in unsure if (package.created_at(id[len(PREFIX) :][:32]) or limit) > limit}
        old = unsure - young
        lost = old if old and not publisher(self.alias).waiting() else set()
        return (ids - mine.keys()) | lost

    def waiting_since(self) -> datetime | None:
        """While messages wait for workers, nothing can be missed: the beginning of time. Else None."""
        return datetime.min.replace(tzinfo=UTC) if publisher(self.alias).waiting() else None

    def heartbeats(self) -> list[tuple[str, datetime]]:
        """The Celery workers that have been heard of, and when, by the database's clock."""
        rows = apps.get_model("notifications", "Heartbeat").objects.filter(cluster__startswith=BEAT)
        return list(rows.values_list("cluster", "seen_at"))

    def is_down(self) -> bool:
        """Whether the broker was not there a moment ago."""
        return publisher(self.alias).is_down

    def housekeep(self) -> None:
        """Publish what is due or was left behind."""
        publish_due(self.alias)

    def degraded(self) -> str | None:
        """What is wrong, where work is accepted all the same. May take as long as connecting may."""
        if publisher(self.alias).reaches_broker():
            return None
        taker = taker_of(self.alias)
        instead = (
            "what is accepted waits in the database" if taker == self.alias else f"{taker!r} takes its work"
        )
        return f"The broker cannot be reached: {instead}."

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return [
            *super().check(**kwargs),
            *check_options(self.alias, self.options),
            *check_served(self.alias),
            *check_fallback(self.alias),
        ]
