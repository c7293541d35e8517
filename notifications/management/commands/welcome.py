"""`manage.py welcome`: what `make run` prints. In development it also makes the first superuser, once."""

import os
import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model

from notifications.channels import channels
from notifications.management.database import DatabaseCommand


class Command(DatabaseCommand):
    help = "Say where the service will be, and how to try it. With DEBUG, make a superuser if there is none."

    def handle(self, **options: Any) -> None:
        base = f"http://localhost:{os.environ.get('PORT', '8000')}"
        lines = [
            "",
            f"  Service   {base}",
            f"  Try it    curl -X POST {base}/send-notification/you@example.com",
            f"  Log file  {channels['log'].options['path']}" if "log" in channels else "",
            f"  Admin     {base}/admin/ {self._login()}",
            "",
        ]
        self.stdout.write("\n".join(lines))

    def _login(self) -> str:
        users = get_user_model()._default_manager  # noqa: SLF001 (Django's documented name)
        if users.filter(is_superuser=True).exists():
            return "(the password was shown when the user was made; lost it? manage.py changepassword admin)"
        if not settings.DEBUG:
            return "(no superuser yet: manage.py createsuperuser)"
        password = secrets.token_urlsafe(12)
        users.create_superuser("admin", password=password)
        return f"user admin, password {password} (shown once)"
