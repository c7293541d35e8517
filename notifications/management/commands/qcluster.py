"""`manage.py qcluster`: the workers of the queue. Stands in for django-q2's command of the same name."""

import os
import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser
from django_q.management.commands import qcluster

from notifications import housekeeping
from notifications.backends.queue.broker import queue_table
from notifications.backends.queue.cluster import Cluster
from notifications.management.database import DatabaseCommand


class Command(DatabaseCommand, qcluster.Command):  # type: ignore[misc]
    help = "Runs the tasks of the queue until SIGTERM or Ctrl-C, then finishes what is running and exits 0."
    # What the cluster does beside its tasks, every `housekeeping_interval` seconds.
    housekeeping: Callable[[], object] | None = staticmethod(housekeeping.housekeep)
    housekeeping_interval = 2.0

    def add_arguments(self, parser: CommandParser) -> None:
        """django-q2's options. Its help sends people to a variable of the environment, which ours does not need."""
        parser.add_argument("--run-once", action="store_true", help="work off what is due, then stop")
        parser.add_argument(
            "-n",
            "--name",
            dest="cluster_name",
            help="the queue to work on: one of Q_CLUSTER['ALT_CLUSTERS'] (default: that of Q_CLUSTER)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if name := options.get("cluster_name"):
            self.become(name)
        if options.get("run_once"):
            # It will be run again, so it waits neither for a database that is away nor for `migrate`.
            queue_table().existing([0])
        status = Cluster(
            housekeeping=self.housekeeping,
            housekeeping_interval=self.housekeeping_interval,
            run_once=options.get("run_once", False),
        ).run()
        if status:
            sys.exit(status)

    def become(self, name: str) -> None:
        """Run the queue `name`. django-q2 reads its settings once, at import, so the program starts anew."""
        own = settings.Q_CLUSTER.get("name", "default")
        known = [own, *settings.Q_CLUSTER.get("ALT_CLUSTERS", {})]
        if name not in known:
            raise CommandError(
                f"No queue {name!r}. Add it to Q_CLUSTER['ALT_CLUSTERS']; there are: {', '.join(known)}."
            )
        if os.environ.get("Q_CLUSTER_NAME", own) != name:
            os.environ["Q_CLUSTER_NAME"] = name
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606
