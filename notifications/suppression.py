"""The suppression list: who is on it, how one gets there, and what it stops.

Addresses are compared without regard to case. RFC 5321 lets `Ann@` and `ann@` be two mailboxes; nobody runs
such a server, and to write to somebody who unsubscribed as `ann@` would be the worse mistake. Only the letters of ASCII
are folded: that is what SQLite and PostgreSQL do alike, whatever the locale.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from . import statements
from .channels import channels
from .channels.address import clean_address
from .models import Notification, Suppression, SuppressionReason
from .signals import lifted, listed, suppressed
from .statements import Claim


def stored(address: str) -> str:
    """The address in the form in which it is on the list. Raises ValidationError, which never repeats it."""
    return folded(clean_address(address))


def sought(address: str) -> str:
    """The same, to look for it: what is no address is folded, and is not found."""
    try:
        return stored(address)
    except ValidationError:
        return folded(address)


def claim(ids: Sequence[str], lease: timedelta, using: str) -> list[Claim]:
    """`statements.claim`, less what is for somebody on the list: that is cancelled instead, with the reason."""
    aliases = [alias for alias in channels.settings if channels[alias].suppressible]
    claims = statements.claim(ids, lease, using, aliases)
    if stopped := [claim for claim in claims if claim.suppressed]:
        suppressed.send_robust(sender=None, claims=stopped)
        claims = [claim for claim in claims if not claim.suppressed]
    return claims


def add(
    address: str,
    *,
    category: str = "",
    reason: str = SuppressionReason.MANUAL,
    note: str = "",
    notification: UUID | None = None,
    created_by: Any = None,
) -> tuple[Suppression, bool]:
    """Put an address on the list, for one category or for everything. Returns the entry, and whether it is new.

    One that is there already stays as it is: the first reason is kept. Raises ValidationError, by field.
    """
    try:
        address = stored(address)
    except ValidationError as error:
        raise ValidationError({"address": error}) from error
    found = {"category": category, "address": address}
    values = {"reason": reason, "note": note, "notification": notification, "created_by": created_by}
    entry, is_new = Suppression.objects.get_or_create(**found, defaults=values)
    if is_new:
        listed.send_robust(sender=Suppression, ids=[entry.pk], reason=entry.reason)
    return entry, is_new


def add_bounced(ids: Sequence[str], using: str) -> None:
    """Put the recipients of these notifications on the list. To be called in the transaction of their record."""
    rows = Notification.objects.using(using).filter(pk__in=ids).values_list("pk", "recipient")
    # In one order: two workers that meet the same addresses then wait for each other, and never in a circle.
    entries = {
        address: Suppression(address=address, reason=SuppressionReason.BOUNCE, notification=pk)
        for address, pk in sorted((folded(recipient), pk) for pk, recipient in rows)
    }
    known = Suppression.objects.using(using)
    known.bulk_create(entries.values(), ignore_conflicts=True)
    # Those that somebody else has listed since the claim were there already: theirs is the entry.
    made = known.filter(pk__in=[entry.pk for entry in entries.values()])
    if new := list(made.values_list("pk", flat=True)):
        listed.send_robust(sender=Suppression, ids=new, reason=SuppressionReason.BOUNCE)


def remove(entries: Iterable[Suppression]) -> None:
    """Take entries off the list. What was cancelled stays so."""
    ids = [entry.pk for entry in entries]
    Suppression.objects.filter(pk__in=ids).delete()
    lifted.send_robust(sender=Suppression, ids=ids)


def folded(address: str) -> str:
    """As addresses are compared; of what may be none."""
    return address.encode().lower().decode()  # bytes: ASCII and nothing else
