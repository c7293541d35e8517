"""`manage.py recover`: one sweep by hand. Wherever `qcluster` runs, it runs by itself every few seconds."""

from typing import Any

from django.core.management.base import CommandParser

from notifications import services
from notifications.management.database import DatabaseCommand


class Command(DatabaseCommand):
    help = "Hand to the queue what dead workers and dead web processes held."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        found = services.recover(dry_run=dry_run)
        would = "would be " if dry_run else ""
        for ids, what in (
            (found.lost, f"{would}queued again: its worker died while sending"),
            (found.stranded, f"{would}queued again: its queue entry was gone"),
            (found.given_up, f"{would}settled: failed, or unknown where its channel holds such"),
        ):
            for id in ids:
                self.stdout.write(f"{id} {what}")
        if not found:
            self.stdout.write("Nothing to recover.")
