"""`manage.py doctor`: what is wrong, and how to mend it. Exit status 0: well, 1: warnings, 2: errors."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from notifications import doctor

STATUS = {doctor.OK: 0, doctor.WARNING: 1, doctor.ERROR: 2}


class Command(BaseCommand):
    help = "Look at settings, database, migrations, workers, clock and disk, and say what to mend."
    requires_system_checks: list[str] = []  # they are among the findings

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for scripts")

    def handle(self, **options: Any) -> None:
        findings = list(doctor.examine())
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2))
        else:
            for finding in findings:
                self.stdout.write(f"{finding.level:8} {finding.what:11} {finding.text}")
                if finding.hint:
                    self.stdout.write(f"{'':20} → {finding.hint}")
        if status := max(STATUS[finding.level] for finding in findings):
            sys.exit(status)
