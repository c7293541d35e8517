"""Receivers of our signals: they log, in `key=value`, ids and outcomes, never a message or an address."""

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import batched
from typing import Any
from uuid import UUID

from django.dispatch import receiver

from .models import Outcome
from .signals import accepted, lifted, listed, recorded, recovered, suppressed
from .statements import Claim, Record

logger = logging.getLogger("notifications")

IDS = 100  # in one line: what collects lines cuts long ones


@receiver(accepted)
def log_accepted(
    sender: Any, *, notification_id: UUID, via: str, requested_via: str, channel: str, **kwargs: Any
) -> None:
    logger.debug("notification=%s event=accepted via=%s channel=%s", notification_id, via, channel)
    if requested_via:
        logger.info(
            "notification=%s event=fallback via=%s requested_via=%s", notification_id, via, requested_via
        )


@receiver(recorded)
def log_recorded(sender: Any, *, records: Sequence[Record], fenced: Sequence[str], **kwargs: Any) -> None:
    for part in batched(records, IDS):
        ids = [record.id for record in part]
        extra: dict[str, Any] = {"notification": ids[0]} if len(ids) == 1 else {"notifications": ids}
        requests = sorted({record.request_id for record in part if record.request_id})
        extra |= {"request_id": requests[0]} if len(requests) == 1 else {"requests": requests}
        logger.info("event=recorded", extra=extra | Counter(record.outcome for record in part))
    for record in records:
        if record.outcome != Outcome.SENT:
            logger.warning(
                "notification=%s attempt=%d outcome=%s status=%s next_attempt_at=%s",
                record.id,
                record.attempt,
                record.outcome,
                record.status,
                record.next_attempt_at,
                extra={"request_id": record.request_id or "-"},
            )
    for id in fenced:
        logger.warning("notification=%s event=fenced: another worker had taken it over", id)


@receiver(recovered)
def log_recovered(
    sender: Any, *, lost: Sequence[str], stranded: Sequence[str], given_up: Sequence[str], **kwargs: Any
) -> None:
    logger.warning("event=recovered lost=%d stranded=%d given_up=%d", len(lost), len(stranded), len(given_up))
    for part in batched([*lost, *stranded, *given_up], IDS):
        logger.info("event=recovered", extra={"notifications": list(part)})


@receiver(suppressed)
def log_suppressed(sender: Any, *, claims: Sequence[Claim], **kwargs: Any) -> None:
    for claim in claims:
        logger.info(
            "notification=%s event=suppressed",
            claim.id,
            extra={"request_id": claim.request_id or "-"},
        )


@receiver(listed)
def log_listed(sender: Any, *, ids: Sequence[UUID], reason: str, **kwargs: Any) -> None:
    for id in ids:
        logger.info("suppression=%s event=listed reason=%s", id, reason)


@receiver(lifted)
def log_lifted(sender: Any, *, ids: Sequence[UUID], **kwargs: Any) -> None:
    for id in ids:
        logger.info("suppression=%s event=lifted", id)
