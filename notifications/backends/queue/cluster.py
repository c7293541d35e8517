"""The main process of `manage.py qcluster`: minds the signals, starts the sentinel, starts it again if it dies.

Only flags are set in a signal handler. django-q2's own handler joins processes there, and hangs when the
signal reaches the whole group (which systemd, `timeout` and Ctrl-C see to).
"""

import gc
import logging
import os
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from django_q import cluster as upstream

from .processes import close_connections, set_title
from .sentinel import Sentinel
from .systemd import Watch

logger = logging.getLogger(__name__)

GRACE = 25.0  # seconds; below the 30 that Kubernetes and the 90 that systemd give
SHORT_LIFE = 5.0  # seconds; a sentinel that dies sooner could not start
ATTEMPTS = 5  # to start one


class Cluster(upstream.Cluster):  # type: ignore[misc]
    """django-q2's cluster, which survives the death of any of its processes.

    `housekeeping` is called every `housekeeping_interval` seconds beside the work. `grace` is how many
    seconds running tasks may take to finish at the stop. `run_once`: end when nothing due is left.
    """

    def __init__(
        self,
        broker: Any = None,
        *,
        housekeeping: Callable[[], object] | None = None,
        housekeeping_interval: float = 1.0,
        grace: float = GRACE,
        run_once: bool = False,
    ) -> None:
        super().__init__(broker)
        self.housekeeping = housekeeping
        self.housekeeping_interval = housekeeping_interval
        self.grace = grace
        self.run_once = run_once
        self.stopping = False
        self.watch = Watch(os.environ)

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    def start(self) -> int:
        """Start the sentinel. Gives this process's id; `run` waits."""
        set_title(f"qcluster {upstream.Conf.CLUSTER_NAME} main")
        context = upstream.get_mp_context()
        self.stop_event = context.Event()
        self.start_event = context.Event()
        close_connections()
        gc.freeze()  # a collection in a child would write to the pages that all of them share
        self.sentinel = context.Process(
            target=Sentinel,
            args=(self.stop_event, self.start_event, self.cluster_id, self.broker, self.timeout),
            kwargs={
                "parent": os.getpid(),
                "housekeeping": self.housekeeping,
                "housekeeping_interval": self.housekeeping_interval,
                "grace": self.grace,
                "run_once": self.run_once,
                "watch": self.watch,
            },
        )
        self.sentinel.start()
        return int(self.pid)

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or with `run_once` until the queue is empty. Gives the exit status.

        1 where the sentinel dies at each start: then whoever watches this process should know. An error here leaves
        no sentinel behind, which Python would wait for at the end, deaf to any signal.
        """
        try:
            return self._mind()
        finally:
            self.stop()

    def _mind(self) -> int:
        failures = 0
        while failures < ATTEMPTS:
            born = time.monotonic()
            self.start()
            while self.sentinel.exitcode is None and not self.stopping:
                self.sentinel.join(timeout=0.1)
                self.watch.look()
            if self.stopping:
                self.watch.tell("STOPPING=1")
                return 0
            if self.sentinel.exitcode == 0:
                return 0
            logger.error("sentinel=%d death=sudden exit=%s", self.sentinel.pid, self.sentinel.exitcode)
            failures = failures + 1 if time.monotonic() < born + SHORT_LIFE else 0
            while not self.stopping and time.monotonic() < born + 0.2 * failures:
                time.sleep(0.05)
        return 1

    def stop(self) -> bool:
        """End within the grace time. What is killed at its end goes back to the queue."""
        if self.sentinel is None or not self.sentinel.is_alive():
            return False
        self.stop_event.set()
        self.sentinel.join(timeout=self.grace + 5)
        if self.sentinel.exitcode is None:
            logger.error("sentinel=%d reason=stuck", self.sentinel.pid)
            self.sentinel.kill()  # the kernel takes its children with it
            self.sentinel.join()
        return True
