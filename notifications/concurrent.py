"""The workshop's threads: delivery for channels that wait on the network, side by side."""

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import batched

from . import pacing, tracing
from .channels import channels
from .conf import notification_settings
from .delivery import send_and_settle
from .models import Notification, database
from .parcels import TOGETHER, Parcels
from .schedule import Reschedule
from .senders import senders
from .statements import Claim

MOST = 10  # parcels that a thread takes one after the other
GROW = 1.0  # seconds until what is still waiting gets more threads
LOOKED_UP = 500  # ids in one query


def deliver_concurrently(ids: Iterable[str], reschedule: Reschedule) -> None:
    """`deliver` for channels that wait on the network: each is sent, and recorded, on a thread of its own.

    Returns when the last one has begun, so that one that is stuck does not hold up what comes behind. Only as
    many are claimed as can begin at once. Those that are under way when the process dies have a lease that
    passes, like any other.
    """
    using = database()
    lease = notification_settings().lease
    alone, shared = _divided(tracing.received(ids), using)
    waiting = deque(alone)
    while waiting:
        reserved = senders().reserve(len(waiting))
        claims: list[Claim] = []
        try:
            chunk = [waiting.popleft() for _ in range(reserved)]
            claims = pacing.claim(chunk, lease, using, reschedule)
        finally:
            senders().release(reserved - len(claims))
        for claim in claims:
            senders().run(send_and_settle, [claim], reschedule, lease, using)
    for alias, parcels in shared:
        _share(alias, parcels, reschedule, lease, using)


def _share(alias: str, parcels: Parcels, reschedule: Reschedule, lease: timedelta, using: str) -> None:
    """For a channel that sends several on one connection: a thread takes parcel after parcel.

    Note [Few connections, and nobody behind a stuck one]: it begins with fewer threads than there are parcels, for a
    connection that carries many is cheaper than many that carry few. What is still waiting a moment later gets more of
    them. A parcel is claimed when it is begun, so that a slow send holds up no more than the rest of its own. Where a
    limit puts all of a round off, the next one is looked at at once: it may be in time for its own.
    """
    patience = 0.0
    while not parcels.are_claimed(within=patience):
        patience = GROW
        if not parcels.waiting:  # the last ones are being claimed
            continue
        reserved = senders().reserve(parcels.threads)
        chunks: list[Sequence[Claim]] = []
        try:
            with parcels.taken(reserved) as chosen:
                claims = pacing.claim(chosen, lease, using, reschedule) if chosen else []
                chunks = list(batched(claims, TOGETHER))
        finally:
            senders().release(reserved - len(chunks))
        patience = GROW if chunks else 0.0
        for chunk in chunks:
            parcels.begin()
            senders().run(_go_on, alias, chunk, parcels, reschedule, lease, using)


def _go_on(
    alias: str,
    claims: Sequence[Claim],
    parcels: Parcels,
    reschedule: Reschedule,
    lease: timedelta,
    using: str,
) -> None:
    """Send these, and what else is waiting, over what the channel keeps open meanwhile."""
    try:
        with channels[alias].together():
            send_and_settle(claims, reschedule, lease, using)
            for _ in range(MOST - 1):
                with parcels.taken(1) as chosen:
                    claims = pacing.claim(chosen, lease, using, reschedule) if chosen else []
                if not chosen:
                    return
                if claims:
                    send_and_settle(claims, reschedule, lease, using)
    finally:
        parcels.end()


def _divided(ids: Iterable[str], using: str) -> tuple[list[str], list[tuple[str, Parcels]]]:
    """Those that are sent one by one, and for each channel that sends several at once its parcels."""
    ids = list(ids)
    together: dict[str, list[str]] = {
        alias: [] for alias in channels.settings if channels[alias].concurrent and channels[alias].batch
    }
    if not together:
        return ids, []
    rows = Notification.objects.using(using).filter(channel__in=together)
    found: dict[str, str] = {}
    for chunk in batched(ids, LOOKED_UP):
        found |= {str(pk): channel for pk, channel in rows.filter(pk__in=chunk).values_list("pk", "channel")}
    alone = []
    for id in ids:
        together[found[id]].append(id) if id in found else alone.append(id)
    return alone, [(alias, Parcels(waiting)) for alias, waiting in together.items() if waiting]
