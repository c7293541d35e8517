"""`manage.py prune`: delete by hand what is older than NOTIFICATIONS_KEEP_DAYS. Clusters do it by themselves."""

from typing import Any

from django.core.management.base import CommandParser

from notifications import retention
from notifications.conf import notification_settings
from notifications.management.database import DatabaseCommand


class Command(DatabaseCommand):
    help = "Delete what is older than NOTIFICATIONS_KEEP_DAYS: notifications with their attempts, results of tasks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        keep_days = notification_settings().keep_days
        if not keep_days:
            self.stdout.write("NOTIFICATIONS_KEEP_DAYS is not set: everything is kept.")
        pruned = retention.prune(dry_run=dry_run)
        for status, days in keep_days.items():
            verb = "would be deleted" if dry_run else "deleted"
            self.stdout.write(f"{status}, older than {days} days: {pruned[status]} {verb}")
