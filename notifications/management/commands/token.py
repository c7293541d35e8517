"""`manage.py token NAME --can send,read`: a key to the API for a service, shown once."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from notifications.management.database import DatabaseCommand
from notifications.models import Token

RIGHTS = {
    "send": ["add_notification"],
    "read": ["view_notification"],
    "cancel": ["cancel_notification"],
    "resend": ["resend_notification"],
    "suppress": ["manage_suppressions"],
    "read-all": ["view_notification", "view_all_notifications"],
    "recipients": ["view_recipient"],
}
LONGEST = 36_500  # days: a hundred years, and no time that is out of any range


class Command(DatabaseCommand):
    help = (
        "Makes a token for the user NAME (made if there is none) and prints it, once: only its hash is kept. "
        "Its rights are the user's permissions; the admin shows and changes them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the user's name, such as the service that will use the token")
        parser.add_argument(
            "--can", default="", metavar="RIGHTS", help=f"give the user these rights: {', '.join(RIGHTS)}"
        )
        parser.add_argument("--days", type=int, help="days until it expires; never, if left out")
        parser.add_argument("--revoke", action="store_true", help="close the door for all tokens of NAME")

    def handle(self, *, name: str, can: str, days: int | None, revoke: bool, **options: Any) -> None:
        users = get_user_model()._default_manager  # noqa: SLF001 (Django's documented name)
        named = {users.model.USERNAME_FIELD: name}
        user = users.filter(**named).first()
        if revoke:
            if user is None:
                raise CommandError(f"There is no user {name!r}.")
            self.stdout.write(f"{Token.objects.filter(user=user).revoke()} token(s) of {name} revoked.")
            return
        if days is not None and not 0 < days <= LONGEST:
            raise CommandError(f"--days is a number from 1 to {LONGEST}.")
        rights = [right.strip() for right in can.split(",") if right.strip()]
        if unknown := [right for right in rights if right not in RIGHTS]:
            raise CommandError(f"Unknown right: {', '.join(unknown)}. Choose of: {', '.join(RIGHTS)}.")
        if user is None:
            if not rights:
                raise CommandError(f"{name!r} will be a new user: say what it --can do.")
            try:  # as `createsuperuser` does; nothing else looks at a name
                field: Any = users.model._meta.get_field(users.model.USERNAME_FIELD)  # noqa: SLF001 (documented)
                field.clean(name, None)
            except ValidationError as error:
                raise CommandError(f"{name!r} is no name of a user: {' '.join(error.messages)}") from error
        with transaction.atomic():
            if user is None:
                user = _made(users, named)
            codenames = {codename for right in rights for codename in RIGHTS[right]}
            user.user_permissions.add(
                *Permission.objects.filter(content_type__app_label="notifications", codename__in=codenames)
            )
            expires_at = None if days is None else timezone.now() + timedelta(days=days)
            _, secret = Token.objects.issue(user, expires_at=expires_at)
        self.stderr.write("Keep it now, it is not shown again. Send it as  Authorization: Bearer …")
        self.stdout.write(secret)


def _made(users: Any, named: dict[str, str]) -> Any:
    """A user without a password: it comes with tokens only."""
    try:
        return users.create_user(**named)
    except TypeError as error:  # a model of the project's own may ask for more
        raise CommandError(f"Make the user yourself, and then ask again: {error}.") from error
