"""Addresses that are not written to any more: the suppression list."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from .notification import new_id


class SuppressionReason(models.TextChoices):
    """Why an address is on the list."""

    BOUNCE = "bounce"  # the other side knows nobody there
    COMPLAINT = "complaint"  # the recipient called it spam
    UNSUBSCRIBED = "unsubscribed"  # the recipient asked for no more
    MANUAL = "manual"  # somebody of ours decided


class Suppression(models.Model):
    """One e-mail address that gets no more of one category, or nothing at all.

    There is no channel in it: an address that bounces or complains does so whichever channel writes to it.
    `address` is folded (see `notifications.suppression`), because `Ann@` and `ann@` are one mailbox everywhere.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    address = models.CharField(max_length=254)
    category = models.CharField(
        max_length=50,
        blank=True,
        default="",
        db_default="",
        help_text="What is stopped; everything, also what must arrive, if it is empty.",
    )
    reason = models.CharField(max_length=20, choices=SuppressionReason, default=SuppressionReason.MANUAL)
    note = models.CharField(max_length=255, blank=True, default="", db_default="")
    # No foreign key: the entry outlives it.
    notification = models.UUIDField(null=True, blank=True, help_text="The notification that brought it here.")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="Who put it here; nobody, if the other side or the recipient did.",
    )

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["created_at", "id"], name="suppression_newest")]
        constraints = [
            # The index of the claim, too: it looks for an address, and for "" or a category.
            models.UniqueConstraint(fields=["address", "category"], name="suppression_is_unique"),
        ]
        permissions = [
            ("manage_suppressions", "Can manage suppressions by the API, which shows the addresses")
        ]

    def __str__(self) -> str:
        return f"{self.reason} suppression {self.pk}"
