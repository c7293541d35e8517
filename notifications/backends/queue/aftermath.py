"""What becomes of the entries that a worker was running when it died or was killed for its time.

It cannot be known whether they or the operator killed it. So they run again, each alone, a little later, at
most MAX_CRASHES times; then they are failed. The count is in the entry, so every cluster knows it.
"""

import logging
from datetime import timedelta

from ...clock import database_now
from . import package, results, signing
from .broker import OrmBroker
from .entries import not_a_lease
from .records import encode, row

logger = logging.getLogger(__name__)

MAX_CRASHES = 3
AGAIN_AFTER = timedelta(seconds=0.5)  # times the number of crashes
TIMEOUT = "timeout"


def settle_crashed(broker: OrmBroker, pks: list[int], reason: str) -> None:
    """Put the entries back with their count, or record them as failed. Raise DatabaseError: nothing of it counts.

    A call over its time that ran alone is failed at once: it had its time.
    """
    now = database_now(broker.table.using)
    for pk, payload, _ in broker.table.read(pks):
        try:
            content = package.unpack(payload)
        except package.UnreadablePackage:
            continue  # the worker did not run it either
        crashes = content.get("crashes", 0) + 1
        ended = reason == TIMEOUT and len(pks) == 1
        if ended or crashes >= MAX_CRASHES:
            what = "ran over its time" if reason == TIMEOUT else f"ended its worker {crashes} times"
            error = results.write_error(
                "builtins.TimeoutError" if ended else "builtins.SystemError", what, what
            )
            content.update(success=False, started=now, stopped=now, cluster=broker.list_key)
            broker.table.finish([pk], [row(content, package.path_of(content["func"]), encode(error))])
            logger.error("task=%s id=%s outcome=failed reason=%r", content.get("name"), content["id"], what)
        else:
            content["crashes"] = crashes
            again = not_a_lease(now + AGAIN_AFTER * crashes)
            broker.table.rewrite(pk, signing.dumps(content), again)
            logger.warning(
                "task=%s id=%s outcome=again crashes=%d", content.get("name"), content["id"], crashes
            )
