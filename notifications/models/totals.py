"""How many attempts there have been: kept apart, because attempts are pruned and a counter only grows."""

from django.db import models


class AttemptTotal(models.Model):
    """Attempts of one channel with one outcome, up to the attempt whose id is `counted_to`."""

    channel = models.CharField(max_length=50)
    outcome = models.CharField(max_length=10)
    count = models.PositiveBigIntegerField(default=0)
    counted_to = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "outcome"], name="attempt_total_is_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.outcome} by {self.channel}"
