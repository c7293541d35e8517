"""Answers that were given already, by the Idempotency-Key they were given for."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import Value
from django.db.models.functions import Now

KEPT_FOR = timedelta(hours=24)


class IdempotencyKeyQuerySet(models.QuerySet["IdempotencyKey"]):
    def current(self) -> Self:
        return self.filter(created_at__gte=Now() - KEPT_FOR)

    def expired(self) -> Self:
        return self.exclude(created_at__gte=Now() - KEPT_FOR)


class IdempotencyKey(models.Model):
    """The answer to the first request with this key. Commits together with what that request did."""

    digest = models.CharField(
        primary_key=True, max_length=64, help_text="SHA-256 of caller, method, path and key."
    )
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the request's query and body.")
    status_code = models.PositiveSmallIntegerField()
    location = models.CharField(max_length=255, blank=True)
    headers = models.JSONField(
        db_default=Value({}, models.JSONField()), help_text="What else it said of the notification, by name."
    )
    body = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    objects = IdempotencyKeyQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.status_code} of {self.created_at:%Y-%m-%d %H:%M:%S}"
