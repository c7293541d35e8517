"""`manage.py forget ADDRESS`: erase what is kept about a recipient, and say what it was."""

from typing import Any

from django.core.management.base import CommandParser

from notifications import retention
from notifications.management.database import DatabaseCommand


class Command(DatabaseCommand):
    help = "Erase what is kept about a recipient: notifications, attempts, stored answers, counts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("recipient", metavar="ADDRESS")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be erased")

    def handle(self, *, recipient: str, dry_run: bool, **options: Any) -> None:
        erased = retention.forget(recipient, dry_run=dry_run)
        verb = "would be erased" if dry_run else "erased"
        for thing, count in sorted(erased.items()):
            self.stdout.write(f"{thing}: {count} {verb}")
        if not erased:
            self.stdout.write("Nothing is kept about this recipient.")
        self.stdout.write("Not touched: the suppression list, log files, backups.")
