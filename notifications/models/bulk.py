"""What an operator asked for of many notifications at once, and how far it has come."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.timezone import localtime

from .notification import new_id


class Kind(models.TextChoices):
    """What is done to each of them."""

    RESEND = "resend"
    CANCEL = "cancel"
    CONFIRM = "confirm"
    SEND_AGAIN = "send_again"


class BulkAction(models.Model):
    """One action on all notifications of a selection. Its cursor moves in the transaction that did the work."""

    kind = models.CharField(max_length=20, choices=Kind)
    selection = models.JSONField(help_text="Which notifications: see notifications.selection.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        db_index=False,
        related_name="+",
        help_text="Who asked for it.",
    )
    total = models.PositiveIntegerField(null=True, help_text="How many there were when it began.")
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0, help_text="Had changed meanwhile, or were refused.")
    # UUIDv7, like the ids of the notifications: what is accepted later than this one is not part of it.
    through = models.UUIDField(default=new_id, editable=False)
    cursor = models.UUIDField(
        null=True, editable=False, help_text="The last notification that was worked on."
    )
    task_id = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The task last enqueued for it.",
    )
    created_at = models.DateTimeField(db_default=Now())
    moved_at = models.DateTimeField(db_default=Now(), help_text="When the cursor last moved.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {localtime(self.created_at):%Y-%m-%d %H:%M:%S}"

    @property
    def worked_on(self) -> int:
        return self.done + self.failed
