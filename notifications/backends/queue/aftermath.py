"""What becomes of the entries that a worker was running when it died or was killed for its time.

It cannot be known whether they or the operator killed it. So they run again, each alone, a little later, at
most MAX_CRASHES times; then they are failed. The count is in the entry, so every cluster knows it.

Note [Ended]: what has failed this way goes back once more, with its error in it, and a worker settles it as it settles
any other: hooks, chains and receivers of signals are called. They are anybody's code, and may end or stop whoever
calls them: a worker, never the pusher. If they do, the entry is recorded here, without them.
"""

import logging
import time
from datetime import datetime, timedelta

from ...clock import database_now
from . import package, results, signing
from .broker import OrmBroker
from .entries import not_a_lease
from .package import ENDED, Package
from .records import encode, row

logger = logging.getLogger(__name__)

MAX_CRASHES = 3
AGAIN_AFTER = timedelta(seconds=0.5)  # times the number of crashes
TIMEOUT = "timeout"


def settle_crashed(broker: OrmBroker, pks: list[int], reason: str, begun: float) -> None:
    """Put the entries back, to be run or to be settled. Raise DatabaseError: nothing of it counts.

    `begun` is when they were, by `time.monotonic()`. A call over its time that ran alone is failed at once: it had its
    time.
    """
    now = database_now(broker.table.using)
    started = now - timedelta(seconds=time.monotonic() - begun)
    for pk, payload, _ in broker.table.read(pks):
        try:
            content = package.unpack(payload)
        except package.UnreadablePackage:
            continue  # the worker did not run it either
        if ENDED in content:
            _record(broker, pk, content)
            continue
        content.update(started=started, stopped=now)  # what its row says, should it not run again
        lock = _next(content, now, reason, alone=len(pks) == 1)
        try:
            payload = signing.dumps(content)
        except Exception as error:  # noqa: BLE001  see Note [Whatever an entry holds]: it need not pickle again
            why = package.shown(error)
            content.setdefault(ENDED, results.write_error("pickle.PicklingError", why, why))
            _record(broker, pk, content)
        else:
            broker.table.rewrite(pk, payload, not_a_lease(lock))


def _next(content: Package, now: datetime, reason: str, *, alone: bool) -> datetime:
    """Write into the package what follows. Gives when."""
    crashes: int = content.get("crashes", 0) + 1
    over = reason == TIMEOUT and alone
    if over or crashes >= MAX_CRASHES:
        what = "ran over its time" if reason == TIMEOUT else f"ended its worker {crashes} times"
        content[ENDED] = results.write_error(
            "builtins.TimeoutError" if over else "builtins.SystemError", what, what
        )
        logger.warning("task=%s id=%s outcome=ended reason=%r", content.get("name"), content["id"], what)
        return now
    content["crashes"] = crashes
    logger.warning("task=%s id=%s outcome=again crashes=%d", content.get("name"), content["id"], crashes)
    return now + AGAIN_AFTER * crashes


def _record(broker: OrmBroker, pk: int, content: Package) -> None:
    content.update(success=False, cluster=broker.list_key)
    broker.table.finish([pk], [row(content, package.path_of(content["func"]), encode(content[ENDED]))])
    logger.error("task=%s id=%s outcome=failed hooks=uncalled", content.get("name"), content["id"])
