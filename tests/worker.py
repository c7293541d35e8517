"""A worker's work, in the process of the test. It closes connections: for tests with transactions of their own."""

from notifications.backends.queue import OrmBroker
from notifications.backends.queue.execution import Execution
from notifications.backends.queue.processes import Job, Slot


def work() -> None:
    """Execute all that is in the queue and due. A task that fails is a result like any other."""
    broker = OrmBroker()
    while entries := broker.claim(1000):
        job = Job(float("inf"), [(entry.pk, entry.payload) for entry in entries])
        assert Execution(broker, Slot()).run(job) == ([], {})
