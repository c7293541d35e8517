"""What `manage.py check` says of the queue's settings. Each message ends with the way out.

E101 to E109 stop the start, W111 to W113 do not. Read from `settings`, not from django-q2's `Conf`, which is frozen
at import.
"""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string

from .entries import SEPARATOR


def check_queue(alias: str, queues: set[str]) -> list[CheckMessage]:
    """All that is wrong with running TASKS[`alias`] through django-q2's table."""
    cluster: dict[str, Any] = getattr(settings, "Q_CLUSTER", {})
    return [*_apps(), *_database(cluster), *_engine(cluster), *_queues(alias, queues, cluster)]


def _apps() -> Iterator[CheckMessage]:
    names = [str(name) for name in settings.INSTALLED_APPS]
    ours = next((i for i, name in enumerate(names) if name.split(".")[0] == "notifications"), None)
    theirs = next((i for i, name in enumerate(names) if name.split(".")[0] == "django_q"), None)
    if theirs is None:
        yield Error(
            "The queue needs django-q2's tables.",
            hint="Add 'django_q' to INSTALLED_APPS, after 'notifications'.",
            id="notifications.E101",
        )
    elif ours is None or ours > theirs:
        yield Error(
            "`manage.py qcluster` would start django-q2's own cluster.",
            hint="List 'notifications' before 'django_q' in INSTALLED_APPS.",
            id="notifications.E102",
        )


def _database(cluster: dict[str, Any]) -> Iterator[CheckMessage]:
    if cluster.get("orm") != DEFAULT_DB_ALIAS:
        yield Error(
            "The queue is not in the application's database, so a row and its entry cannot be one transaction.",
            hint=f"Set Q_CLUSTER['orm'] = '{DEFAULT_DB_ALIAS}'.",
            id="notifications.E103",
        )
    database = settings.DATABASES.get(DEFAULT_DB_ALIAS, {})
    mode = str(database.get("OPTIONS", {}).get("transaction_mode") or "")
    if str(database.get("ENGINE", "")).endswith("sqlite3") and mode.upper() not in {"IMMEDIATE", "EXCLUSIVE"}:
        yield Error(
            "On SQLite a transaction that reads first and then writes fails with 'database is locked'.",
            hint="Set DATABASES['default']['OPTIONS']['transaction_mode'] = 'IMMEDIATE'.",
            id="notifications.E104",
        )
    if not settings.USE_TZ:
        yield Error(
            "The queue compares moments of several hosts.", hint="Set USE_TZ = True.", id="notifications.E105"
        )


def _engine(cluster: dict[str, Any]) -> Iterator[CheckMessage]:
    from .broker import OrmBroker

    path = cluster.get("broker_class")
    try:
        found = import_string(path) if path else None
    except ImportError:
        found = None
    if not (isinstance(found, type) and issubclass(found, OrmBroker)):
        yield Error(
            f"Q_CLUSTER['broker_class'] is {path!r}: django-q2 would not see what this backend enqueues.",
            hint="Set Q_CLUSTER['broker_class'] = 'notifications.backends.queue.OrmBroker'.",
            id="notifications.E106",
        )
    timeout, retry = cluster.get("timeout"), cluster.get("retry", 60)
    if not timeout or retry <= timeout:
        yield Error(
            f"Q_CLUSTER has timeout={timeout!r} and retry={retry!r}: django-q2 wants retry above timeout.",
            hint="Set both, for example timeout=300 and retry=330.",
            id="notifications.E107",
        )
    if cluster.get("sync"):
        yield Error(
            "Q_CLUSTER['sync'] runs tasks inside the caller's request.",
            hint="Remove it; in tests use django.tasks.backends.immediate.ImmediateBackend.",
            id="notifications.E108",
        )
    if not cluster.get("ack_failures") or cluster.get("max_attempts") != 1:
        yield Warning(
            "This cluster runs a task once; Q_CLUSTER asks django-q2 to retry failed ones.",
            hint="Set Q_CLUSTER['ack_failures'] = True and ['max_attempts'] = 1; retry in your task.",
            id="notifications.W111",
        )
    if cluster.get("save_limit", 250) > 0:
        yield Warning(
            "Q_CLUSTER['save_limit'] above 0 is not kept: it would lock and load all results at each task.",
            hint="Set 0 (keep all, prune by a schedule) or -1 (keep failures only).",
            id="notifications.W112",
        )


def _queues(alias: str, queues: set[str], cluster: dict[str, Any]) -> Iterator[CheckMessage]:
    served = {cluster.get("cluster_name") or cluster.get("name", "default"), *cluster.get("ALT_CLUSTERS", {})}
    for queue in sorted(queues):
        if SEPARATOR in queue or len(queue) > 90:
            yield Error(
                f"TASKS['{alias}']: the queue name {queue!r} contains {SEPARATOR!r} or is over 90 characters.",
                hint="Rename it; the rest of the column says the priority.",
                id="notifications.E109",
            )
        elif queue not in served:
            yield Warning(
                f"TASKS['{alias}']: no cluster runs the queue {queue!r}; its tasks would wait for ever.",
                hint="Add it to Q_CLUSTER['ALT_CLUSTERS'] and start `manage.py qcluster -n NAME`.",
                id="notifications.W113",
            )
