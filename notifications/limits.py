"""How many notifications a recipient gets in an hour and on a day, counted over all processes.

    NOTIFICATIONS_RECIPIENT_LIMITS = {"hour": 20, "day": 100}

The windows are those of the clock (UTC), so around a full hour a recipient may get up to twice as many in
sixty minutes. A count is part of the transaction that accepts: what is rolled back was not counted.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils.crypto import salted_hmac

from .clock import database_now
from .conf import notification_settings
from .exceptions import RecipientLimitReached
from .models import RecipientCount

HOUR, DAY = 3600, 24 * 3600  # seconds
NO_LIMIT = 2**31 - 1


def count(recipient: str) -> None:
    """Count one notification. Call it in the transaction that writes it.

    Raises RecipientLimitReached where a limit of the settings is reached; then nothing is counted.

    Note [One conditional UPDATE]: it checks and counts under the lock of one row, which is held until the
    commit. Two processes that accept for one recipient take turns; there is no moment between check and count.
    """
    limits = notification_settings().recipient_limits
    if not limits:
        return
    now = int(database_now().timestamp())  # hosts that count in different hours would reset one another
    hour, day = now // HOUR, now // DAY
    digest = _digest(recipient)
    if _count(digest, hour, day, limits.get("hour", NO_LIMIT), limits.get("day", NO_LIMIT)):
        return
    counted = RecipientCount.objects.filter(pk=digest).first()
    if counted and counted.day == day and counted.in_day >= limits.get("day", NO_LIMIT):
        raise RecipientLimitReached("day", limits["day"], timedelta(seconds=DAY - now % DAY))
    raise RecipientLimitReached("hour", limits.get("hour", 0), timedelta(seconds=HOUR - now % HOUR))


def _count(digest: str, hour: int, day: int, per_hour: int, per_day: int) -> bool:
    if min(per_hour, per_day) < 1:
        return False
    rows = RecipientCount.objects.filter(
        Q(in_hour__lt=per_hour) | ~Q(hour=hour), Q(in_day__lt=per_day) | ~Q(day=day), pk=digest
    )
    changes = {
        "hour": Value(hour),
        "in_hour": Case(When(hour=hour, then=F("in_hour") + 1), default=Value(1)),
        "day": Value(day),
        "in_day": Case(When(day=day, then=F("in_day") + 1), default=Value(1)),
    }
    if rows.update(**changes):
        return True
    first = RecipientCount(digest=digest, hour=hour, in_hour=0, day=day, in_day=0)
    # Somebody else may write the first row at the same moment: then theirs is the one that counts.
    RecipientCount.objects.bulk_create([first], ignore_conflicts=True)
    return bool(rows.update(**changes))


def counted(recipients: Iterable[str]) -> QuerySet[RecipientCount]:
    """What is counted of these recipients."""
    return RecipientCount.objects.filter(pk__in=[_digest(recipient) for recipient in recipients])


def _digest(recipient: str) -> str:
    return salted_hmac("notifications.limits", recipient, algorithm="sha256").hexdigest()


def past() -> QuerySet[RecipientCount]:
    """Counts of past days, which nobody asks for any more."""
    return RecipientCount.objects.filter(day__lt=int(database_now().timestamp()) // DAY)
