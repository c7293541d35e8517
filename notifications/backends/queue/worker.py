"""A worker process: takes a job, makes its calls, acknowledges them itself, says what it did not come to.

It needs nobody to finish: when the pusher is gone it ends the job it has, and then itself.
"""

import logging
import socket
from typing import Any

from django_q.conf import Conf
from django_q.signals import post_spawn
from django_q.worker import rss_check

from .broker import OrmBroker
from .execution import Execution
from .processes import Job, Lock, Report, Slot, Wire, become_child

logger = logging.getLogger(__name__)


def work(
    parent: int, sock: socket.socket, others: socket.socket, slot: Slot, broker: OrmBroker, lock: Lock
) -> None:
    """The worker's life. `others` is the pusher's end of the socket, which this process must not keep open."""
    become_child(parent, f"qcluster {broker.list_key} worker")
    others.close()
    wire = Wire(sock)
    execution = Execution(broker, slot, lock)
    post_spawn.send(sender="django_q", proc_name=f"{broker.list_key} worker")
    leaving = False
    while True:
        try:
            job: Job = wire.receive()
        except EOFError:
            return
        before = execution.seconds
        slot.take([pk for pk, _ in job.entries])
        if leaving:
            unbegun, unknown = [pk for pk, _ in job.entries], dict[int, str]()
        else:
            unbegun, unknown = execution.run(job)
        slot.drop()
        leaving = leaving or execution.made >= Conf.RECYCLE or rss_check()
        _report(wire, Report(unbegun, unknown, execution.seconds - before, leaving))


def _report(wire: Wire, report: Any) -> None:
    try:
        wire.send(report)
    except ConnectionError:
        logger.debug("report=unread")  # the pusher is gone; the next read says so
