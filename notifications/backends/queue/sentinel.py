"""The sentinel: starts the pusher and the workers, sees each death, replaces the dead, ends all in time.

It touches no database and has no threads, so a fork of it inherits nothing that could hang.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import Any

from django_q import cluster as upstream
from django_q.conf import Conf
from django_q.status import Stat

from .control import Control
from .housekeeping import Housekeeper
from .processes import Lock, Slot, become_child, close_connections
from .pusher import push
from .systemd import Watch
from .worker import work

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.1  # seconds between two looks at the stop event and at overtime
SLOWEST_RESTART = 5.0  # seconds between two starts of something that dies at once


@dataclass(slots=True)
class Worker:
    process: ForkProcess
    slot: Slot
    reason: str = "died"

    @property
    def pid(self) -> int:
        return self.process.pid or 0


class Sentinel(upstream.Sentinel):  # type: ignore[misc]
    """django-q2's sentinel over our pusher and workers. It needs no monitor: workers acknowledge themselves."""

    def __init__(
        self,
        stop_event: Any,
        start_event: Any,
        cluster_id: Any,
        broker: Any = None,
        timeout: float | None = None,
        *,
        parent: int,
        housekeeping: Callable[[], object] | None,
        housekeeping_interval: float,
        grace: float,
        run_once: bool,
        watch: Watch,
    ) -> None:
        super().__init__(stop_event, start_event, cluster_id, broker, timeout, start=False)
        become_child(parent, f"qcluster {self.broker.list_key} sentinel")
        self.housekeeping = housekeeping
        self.housekeeping_interval = housekeeping_interval
        self.grace = grace
        self.run_once = run_once
        self.watch = watch
        self.lock = Lock()
        self.workers: list[Worker] = []
        self.departing: list[Worker] = []  # finish the job of a pusher that is gone
        self.control: Control
        self.deaths = 0
        self.started_at = 0.0
        self.saved_at = 0.0
        self.start()

    @property
    def pool(self) -> list[ForkProcess]:
        """What django-q2's `Stat` shows as the workers."""
        return [worker.process for worker in getattr(self, "workers", [])]

    @pool.setter
    def pool(self, value: list[ForkProcess]) -> None:
        """django-q2 sets an empty one at the start."""

    def status(self) -> str:
        if self.stop_event.is_set():
            return str(Conf.STOPPING if self.workers else Conf.STOPPED)
        if not self.start_event.is_set():
            return str(Conf.STARTING)
        busy = any(worker.slot.running for worker in self.workers)
        return str(Conf.WORKING if busy else Conf.IDLE)

    def start(self) -> None:
        self.spawn_cluster()
        self.start_event.set()
        logger.info("queue=%s workers=%d cluster=started", self.broker.list_key, self.pool_size)
        self.guard()
        self.stop()

    def spawn_cluster(self) -> None:
        """A fresh engine: a new pusher, new sockets, new workers. Workers of the last finish what they have."""
        self.departing += self.workers
        self.workers = []
        if hasattr(self, "control"):
            self.control.close()
        mine, others = socket.socketpair()
        self.control = Control(mine)
        housekeeper = Housekeeper(self.broker, self.housekeeping, self.housekeeping_interval)
        self.started_at = time.monotonic()
        self.pusher = self.fork(
            push,
            (os.getpid(), others, mine, self.broker, housekeeper),
            {"run_once": self.run_once, "pulse": self.watch.pusher},
        )
        others.close()
        for worker in self.departing:
            self.control.tell("adopt", worker.slot.fd, pid=worker.pid)
        for _ in range(self.pool_size):
            self.spawn_worker()
        if Conf.CPU_AFFINITY:
            upstream.set_cpu_affinity(Conf.CPU_AFFINITY, [worker.pid for worker in self.workers])

    def spawn_worker(self) -> None:
        mine, theirs = socket.socketpair()
        slot = Slot()
        process = self.fork(work, (os.getpid(), theirs, mine, slot, self.broker, self.lock), {})
        theirs.close()
        self.workers.append(Worker(process, slot))
        self.control.tell("add", mine.fileno(), slot.fd, pid=process.pid)
        mine.close()

    def fork(self, target: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ForkProcess:
        close_connections()
        process = upstream.get_mp_context().Process(target=target, args=args, kwargs=kwargs)
        process.daemon = Conf.DAEMONIZE_WORKERS if target is work else True
        process.start()
        assert isinstance(process, ForkProcess)
        return process

    def guard(self) -> None:
        while not self.stop_event.is_set():
            self.look()
            if self.run_once and self.pusher.exitcode == 0:
                return
            if self.pusher.exitcode is not None:
                self.pause_between_deaths()
                logger.error("pusher=%d death=sudden exit=%s", self.pusher.pid, self.pusher.exitcode)
                self.reincarnations += 1
                self.spawn_cluster()
            for _ in range(self.pool_size - len(self.workers)):
                self.spawn_worker()

    def look(self) -> None:
        """Wait a moment for a death; settle what has died, kill what is over its time."""
        self.watch.sentinel.beat()
        processes = [self.pusher, *(worker.process for worker in self.workers + self.departing)]
        wait([process.sentinel for process in processes if process.exitcode is None], timeout=LOOK_EVERY)
        for worker in [*self.workers, *self.departing]:
            if worker.process.exitcode is not None:
                self.bury(worker)
            elif worker.slot.overtime and worker.reason == "died":
                worker.reason = "timeout"
                worker.process.kill()
        if time.monotonic() > self.saved_at + max(Conf.GUARD_CYCLE, LOOK_EVERY):
            self.saved_at = time.monotonic()
            Stat(self).save()

    def bury(self, worker: Worker) -> None:
        self.control.tell("gone", pid=worker.pid, reason=worker.reason)
        (self.workers if worker in self.workers else self.departing).remove(worker)
        if worker.process.exitcode != 0:
            logger.error(
                "worker=%d reason=%s exit=%s running=%d",
                worker.pid,
                worker.reason,
                worker.process.exitcode,
                len(worker.slot.running),
            )
            self.reincarnations += 1
            if worker.slot.held == []:
                self.pause_between_deaths()
        worker.slot.close()
        worker.process.join()

    def pause_between_deaths(self) -> None:
        """What dies at once after each start must not eat a processor."""
        if time.monotonic() - self.started_at > SLOWEST_RESTART:
            self.deaths = 0
        self.deaths += 1
        self.started_at = time.monotonic()
        self.stop_event.wait(min(0.05 * 2**self.deaths, SLOWEST_RESTART) if self.deaths > 1 else 0)

    def stop(self) -> None:
        """Let running calls finish within the grace time. What is not begun is back in the queue at once."""
        self.stop_event.set()
        deadline = time.monotonic() + self.grace
        for worker in self.workers + self.departing:
            worker.slot.ask_to_stop()
        self.control.tell("stop")
        while self.alive() and time.monotonic() < deadline:
            self.look()
        for worker in self.workers + self.departing:
            if worker.reason == "died":
                worker.reason = "stopped"
                logger.warning(
                    "worker=%d reason=stopped running=%d grace=over", worker.pid, len(worker.slot.running)
                )
            worker.process.kill()
        deadline = time.monotonic() + 2
        while self.alive() and time.monotonic() < deadline:
            self.look()
        self.pusher.kill()
        self.pusher.join()
        Stat(self).save()
        logger.info("queue=%s cluster=stopped", self.broker.list_key)

    def alive(self) -> bool:
        return bool(self.workers or self.departing or self.pusher.exitcode is None)
