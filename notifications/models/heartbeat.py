"""Clusters that live: one row for each, renewed while it works."""

from django.db import models
from django.db.models.functions import Now


class Heartbeat(models.Model):
    """A cluster of workers, and when it was last heard of by the database's clock."""

    cluster = models.CharField(
        primary_key=True, max_length=255, help_text="host:process, and the queue it serves"
    )
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-seen_at"]

    def __str__(self) -> str:
        return self.cluster
