"""`manage.py roles`: makes the groups `viewer` and `operator`, with the permissions that docs/security.md lists."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.core.management.base import CommandError

from notifications.management.database import DatabaseCommand

VIEWER = ("view_notification", "view_all_notifications", "view_suppression")
ROLES = {
    "viewer": VIEWER,
    "operator": (
        *VIEWER,
        "cancel_notification",
        "resend_notification",
        "reveal_recipient",
        "add_suppression",
        "delete_suppression",
    ),
}


class Command(DatabaseCommand):
    help = "Make the groups viewer and operator. Gives what is missing, and takes nothing away."

    def handle(self, **options: Any) -> None:
        known = Permission.objects.filter(content_type__app_label="notifications")
        for name, codenames in ROLES.items():
            permissions = list(known.filter(codename__in=codenames))
            if len(permissions) < len(codenames):
                raise CommandError("Some permissions are missing: run manage.py migrate first.")
            group, _ = Group.objects.get_or_create(name=name)
            group.permissions.add(*permissions)
            self.stdout.write(f"{name}: {', '.join(codenames)}")
