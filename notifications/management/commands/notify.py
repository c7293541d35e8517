"""`manage.py notify you@example.com "text"`: what the API does, from a shell."""

import time
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from notifications import services
from notifications.conf import notification_settings, via_choices
from notifications.exceptions import RecipientLimitReached
from notifications.management.database import DatabaseCommand
from notifications.models import Notification, Status

POLL_SECONDS = 0.05


class Command(DatabaseCommand):
    help = (
        "Send a notification. Exit status: 0 accepted (with --wait: sent), 1 refused or failed, "
        "3 not finished when --timeout ended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("recipient")
        parser.add_argument("message", nargs="?", default="some notification")
        parser.add_argument("--subject", default="")
        parser.add_argument("--channel", default=notification_settings().channel)
        parser.add_argument(
            "--via", default=notification_settings().via, help=f"one of {', '.join(via_choices())}"
        )
        parser.add_argument("--wait", action="store_true", help="wait for the outcome and report it")
        parser.add_argument(
            "--timeout", type=float, default=30.0, help="seconds to wait at most (default: 30)"
        )

    def handle(self, *, wait: bool, timeout: float, **options: Any) -> None:
        fields = {name: options[name] for name in ("recipient", "message", "subject", "channel", "via")}
        try:
            notification = services.accept(**fields)
        except ValidationError as error:
            raise CommandError(
                "\n".join(f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
            ) from error
        except RecipientLimitReached as error:
            raise CommandError(str(error)) from error
        instead = notification.requested_via and f", for {notification.requested_via} is down"
        self.stdout.write(f"{notification.pk} accepted via {notification.via}{instead}")
        if wait:
            self._report(self._wait(notification, timeout), timeout)

    def _wait(self, notification: Notification, timeout: float) -> Notification:
        deadline = time.monotonic() + timeout
        while not notification.is_settled and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            notification.refresh_from_db()
        return notification

    def _report(self, notification: Notification, timeout: float) -> None:
        last = notification.attempts.last()
        if not notification.is_final:
            if notification.status == Status.UNKNOWN:
                raise CommandError(
                    f"{notification.pk} may have arrived, or not. Confirm it, or send it again.",
                    returncode=3,
                )
            raise CommandError(
                f"{notification.pk} is still {notification.status} after {timeout:g} s"
                + (f": {last.error}" if last else ". Is a worker running (manage.py doctor)?"),
                returncode=3,
            )
        if notification.status != Status.SENT:
            raise CommandError(
                f"{notification.pk} {notification.status}" + (f": {last.error}" if last else "")
            )
        assert notification.finished_at is not None
        took = (notification.finished_at - notification.created_at).total_seconds()
        self.stdout.write(
            self.style.SUCCESS(
                f"{notification.pk} sent after {took:.3f} s, in {notification.attempt_count} attempt(s)"
            )
        )
