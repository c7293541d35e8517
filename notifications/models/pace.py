"""How fast a channel may go, over all workers and clusters: one row for each channel that has limits."""

from django.db import models


class ChannelPace(models.Model):
    """Locked by whoever claims for the channel, so that all of them together keep its limits."""

    channel = models.CharField(primary_key=True, max_length=50)
    free_at = models.DateTimeField(help_text="The next time that is not given away.")
    seconds = models.FloatField(default=0.25, help_text="How long a send took of late.")

    class Meta:
        verbose_name = "channel pace"

    def __str__(self) -> str:
        return self.channel
