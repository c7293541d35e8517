"""The truth: one Notification row for what someone must be told.

A queue entry is only how a worker hears of a row. Losing, doubling or reordering entries changes nothing,
because every change of a status is a compare-and-set on the row (here and in `..statements`).
"""

import uuid
from collections.abc import Iterable
from typing import Any, Self

import uuid_utils.compat
from django.conf import settings
from django.db import models, router
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.functional import cached_property

from ..exceptions import InvalidStatus
from .attempt import Attempt


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562): its first bits are the time, so that new rows lie at the end of the index."""
    return uuid_utils.compat.uuid7()


class Status(models.TextChoices):
    """Each member says who moves a row in and who moves it out."""

    QUEUED = "queued"  # in: accept, resend, send again, a failed attempt worth retrying, recover · out: claim, cancel
    SENDING = "sending"  # in: claim · out: record, recover (once the lease has passed)
    UNKNOWN = "unknown"  # in: record, recover, on a channel that holds such · out: confirm, send again
    SENT = "sent"  # in: record, confirm · final
    FAILED = "failed"  # in: record or recover, giving up · final
    # in: cancel, or claim if suppressed, from queued only; record, of what may not be sent · final
    CANCELLED = "cancelled"


FINAL = frozenset({Status.SENT, Status.FAILED, Status.CANCELLED})
# What changes no more by itself: final, or waiting for somebody to decide.
SETTLED = FINAL | {Status.UNKNOWN}


class NotificationQuerySet(models.QuerySet["Notification"]):
    """Nouns only: what a row is, not what is done to it."""

    def abandoned(self) -> Self:
        """Being sent by a worker that has not renewed its lease: it counts as dead."""
        return self.filter(status=Status.SENDING, lease_expires_at__lt=Now())

    def with_dedupe_keys(self, owner_id: Any, keys: Iterable[str]) -> Self:
        """The owner's notifications of these keys. Spelled as the indexes are, so that SQLite takes them."""
        owned = Q(owner=owner_id) if owner_id is not None else Q(owner__isnull=True)
        return self.filter(~Q(dedupe_key=""), owned, dedupe_key__in=keys)


class Notification(models.Model):
    """What someone must be told. The row is written before the request is answered."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    recipient = models.CharField(max_length=2048)
    subject = models.CharField(max_length=255, blank=True)
    message = models.TextField()
    html = models.TextField(
        blank=True, default="", db_default="", help_text="The same as HTML, for channels that can show it."
    )
    channel = models.CharField(max_length=50)
    category = models.CharField(
        max_length=50,
        blank=True,
        default="",
        db_default="",
        help_text="What one can unsubscribe from; none for what must arrive.",
    )
    via = models.CharField(max_length=50)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    # Times are the database's: the clocks of web hosts and workers need not agree.
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now(), help_text="Not sent before this time.")
    next_attempt_at = models.DateTimeField(
        null=True, blank=True, db_default=Now(), help_text="When it is tried next; none once it is final."
    )
    slot_at = models.DateTimeField(
        null=True, blank=True, help_text="The time its channel's limits gave it, if they put it off."
    )
    reason = models.CharField(
        max_length=255,
        blank=True,
        default="",
        db_default="",
        help_text="Why it was cancelled, if not by request.",
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    attempt_count = models.PositiveIntegerField(
        default=0,
        help_text="Attempts begun. Counted before the work, and the fencing token of whoever sends.",
    )
    claimed_at = models.DateTimeField(null=True, blank=True, help_text="When the last attempt began.")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    task_id = models.CharField(max_length=64, blank=True, help_text="The task last enqueued for it.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        help_text="Who asked for it; nobody, if code of this process did.",
    )
    dedupe_key = models.CharField(
        max_length=255, blank=True, help_text="An owner has one notification for each key."
    )
    # No foreign key: this one outlives the one it repeats.
    resend_of = models.UUIDField(null=True, blank=True, help_text="The notification that this one repeats.")
    request_id = models.CharField(
        max_length=64, blank=True, help_text="X-Request-ID of the request that brought it."
    )

    # Set on what `services.accept` found instead of accepting it again.
    is_duplicate = False
    # Set on what was accepted for an engine that is down: the one that was asked for. `via` is the one that took it.
    requested_via = ""

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # These three are small: they hold the unfinished rows only.
            models.Index(
                fields=["next_attempt_at"], condition=Q(status="queued"), name="notification_queued"
            ),
            models.Index(
                fields=["lease_expires_at"], condition=Q(status="sending"), name="notification_leases"
            ),
            models.Index(fields=["created_at"], condition=Q(status="unknown"), name="notification_unknown"),
            # What operators look for: rare, so that an index of each costs the others nothing.
            models.Index(fields=["id"], condition=Q(status="failed"), name="notification_failed"),
            models.Index(fields=["id"], condition=Q(status="cancelled"), name="notification_cancelled"),
            # The API's list is in the order of time. Without these it would pass all that is newer: a backlog, say.
            models.Index(
                fields=["created_at", "id"], condition=Q(status="failed"), name="notification_failures"
            ),
            models.Index(
                fields=["created_at", "id"],
                condition=Q(status="cancelled"),
                name="notification_cancellations",
            ),
            models.Index(
                fields=["resend_of"], condition=Q(resend_of__isnull=False), name="notification_resends"
            ),
            # Exact, or by its beginning; the operator classes are PostgreSQL's, for LIKE 'beginning%'.
            models.Index(
                fields=["recipient", "id"],
                opclasses=["varchar_pattern_ops", "uuid_ops"],
                name="notification_recipients",
            ),
            models.Index(fields=["created_at", "id"], name="notification_newest"),
            models.Index(
                fields=["owner", "created_at", "id"],
                condition=Q(owner__isnull=False),
                name="notification_owned",
            ),
        ]
        constraints = [
            # Partial, so that a row without a key costs nothing. Two, because NULL is distinct from NULL.
            models.UniqueConstraint(
                fields=["owner", "dedupe_key"],
                condition=~Q(dedupe_key="") & Q(owner__isnull=False),
                name="notification_owners_dedupe_key",
            ),
            models.UniqueConstraint(
                fields=["dedupe_key"],
                condition=~Q(dedupe_key="") & Q(owner__isnull=True),
                name="notification_own_dedupe_key",
            ),
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="notification_status_is_known"
            ),
        ]
        permissions = [
            ("cancel_notification", "Can cancel notification"),
            ("resend_notification", "Can resend notification"),
            ("view_all_notifications", "Can view everybody's notifications"),
            ("view_recipient", "Can view recipients unmasked"),
            ("reveal_recipient", "Can reveal one recipient, which is logged"),
        ]

    def __str__(self) -> str:
        return f"{self.status} notification {self.pk}"

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def is_settled(self) -> bool:
        """Whether it changes no more by itself: final, or unknown."""
        return self.status in SETTLED

    def cancel(self) -> None:
        """Move a queued row to cancelled. A worker that claims at the same time wins or loses, never both.

        Raises InvalidStatus when the row is already being sent, or final.
        """
        self._move(Status.QUEUED, status=Status.CANCELLED, finished_at=Now(), next_attempt_at=None)

    def confirm(self) -> None:
        """Move an unknown row to sent: somebody has found out that it arrived.

        Raises InvalidStatus when it is not unknown, or somebody else has decided.
        """
        self._move(Status.UNKNOWN, status=Status.SENT, finished_at=Now())

    def queue_again(self, task_id: str) -> None:
        """Move an unknown row to queued, for the entry that the caller has written in this transaction.

        Raises InvalidStatus as `confirm` does.
        """
        self._move(Status.UNKNOWN, status=Status.QUEUED, next_attempt_at=Now(), task_id=task_id)

    def _move(self, source: Status, **changes: Any) -> None:
        moved = Notification.objects.filter(pk=self.pk, status=source).update(**changes)
        self.refresh_from_db(fields=["status", *(name for name in changes if name != "status")])
        if not moved:
            raise InvalidStatus(f"Notification {self.pk} is {self.status}, not {source.value}.")

    @cached_property
    def history(self) -> list[Attempt]:
        """All attempts in order, with the one that is running now, which has no row before it ends."""
        attempts = sorted(self.attempts.all(), key=lambda attempt: attempt.number)
        if self.status == Status.SENDING and self.claimed_at:
            attempts.append(Attempt(notification=self, number=self.attempt_count, started_at=self.claimed_at))
        return attempts


def database() -> str:
    """The alias of the database where notifications are written."""
    return router.db_for_write(Notification)
