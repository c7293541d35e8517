"""What became of it: one Attempt row for each try to send a notification."""

from django.db import models


class Outcome(models.TextChoices):
    """What an attempt came to."""

    SENT = "sent"
    RETRY = "retry"  # could not send; it will be tried again
    FAILED = "failed"  # could not send; given up
    UNKNOWN = "unknown"  # the connection broke when the message was out: it may have arrived, or not
    CANCELLED = "cancelled"  # not sent, for a reason that holds for every further attempt
    LOST = "lost"  # the worker died, or stopped renewing its lease: nobody knows how far it came


class Attempt(models.Model):
    """One try to send a notification. Written when it ends, by the one who still holds the lease."""

    notification = models.ForeignKey(
        "notifications.Notification", on_delete=models.CASCADE, related_name="attempts", db_index=False
    )
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome)
    error = models.TextField(blank=True)
    # What the other side said, as far as the channel has somebody to ask.
    code = models.CharField(
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text="The provider's: an SMTP or HTTP status.",
    )
    response = models.TextField(
        blank=True, default="", db_default="", help_text="What the provider answered, cut."
    )
    phase = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="How far it came: connect, data, …"
    )
    duration = models.FloatField(null=True, help_text="Seconds that sending took.")
    sent_to = models.CharField(
        max_length=2048,
        blank=True,
        default="",
        db_default="",
        help_text="The real recipient, where it was redirected.",
    )

    class Meta:
        ordering = ["notification", "number"]
        constraints = [
            # One row per attempt, and the index by which a notification finds its attempts.
            models.UniqueConstraint(fields=["notification", "number"], name="attempt_number_is_unique"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome or 'running'}"
