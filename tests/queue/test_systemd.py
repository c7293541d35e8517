"""What systemd hears of a cluster, on a socket as it has one."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from notifications.backends.queue.systemd import Watch

from .conftest import LIMIT, RunningCluster, wait_for


class Systemd:
    """The other side: a datagram socket, and what was said on it."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}

    def hear(self, timeout: float = LIMIT) -> str:
        """The next word. Raises TimeoutError."""
        self.socket.settimeout(timeout)
        return self.socket.recv(1024).decode()

    def is_silent(self, timeout: float) -> bool:
        try:
            self.hear(timeout)
        except (TimeoutError, BlockingIOError):
            return True
        return False


@pytest.fixture(params=["path", "abstract name"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    name = f"{tmp_path}/notify"
    there = Systemd(f"@{name}" if request.param == "abstract name" else name)
    yield there
    there.socket.close()


def test_both_must_go_on(systemd: Systemd) -> None:
    """Up when both have begun, alive when both have gone on since: one of them is not enough."""
    watch = Watch(systemd.environ)
    watch.every = 0
    assert systemd.environ == {}, "those whom it starts cannot speak in its name"
    watch.sentinel.beat()
    watch.look()
    assert systemd.is_silent(0)
    watch.pusher.beat()
    watch.look()
    assert systemd.hear() == "READY=1"
    watch.look()
    watch.sentinel.beat()
    watch.look()
    assert systemd.is_silent(0)
    watch.pusher.beat()
    watch.look()
    assert systemd.hear() == "WATCHDOG=1"


@pytest.mark.parametrize("asked", [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_PID": "1"}])
def test_who_is_not_asked_says_nothing(systemd: Systemd, asked: dict[str, str]) -> None:
    """No watchdog, or another process's: up, and nothing after that."""
    watch = Watch(systemd.environ | asked)
    for _ in range(2):
        watch.sentinel.beat()
        watch.pusher.beat()
        watch.look()
    assert systemd.hear() == "READY=1"
    assert systemd.is_silent(0)


def test_without_systemd_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """No variable, no word. A socket that is gone costs a line, not the cluster."""
    Watch({}).tell("READY=1")
    assert caplog.text == ""
    Watch({"NOTIFY_SOCKET": "/nowhere/at/all"}).tell("READY=1")
    assert "systemd=unreachable" in caplog.text


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("systemd", ["path"], indirect=True)
def test_a_stuck_cluster_falls_silent(start_cluster: Callable[..., RunningCluster], systemd: Systemd) -> None:
    """A real one: up, alive, silent while its pusher or its sentinel hangs, and a last word before it stops."""
    cluster = start_cluster(**systemd.environ)
    assert systemd.hear() == "READY=1"
    assert systemd.hear() == "WATCHDOG=1"
    for role in ("pusher", "sentinel"):
        [stuck] = cluster.processes(role)
        os.kill(stuck.pid, signal.SIGSTOP)
        wait_for(lambda: systemd.is_silent(2), f"silence of the {role}")
        os.kill(stuck.pid, signal.SIGCONT)
        assert systemd.hear() == "WATCHDOG=1"
    assert cluster.stop() == 0
    heard = [systemd.hear()]
    while heard[-1] != "STOPPING=1":
        heard.append(systemd.hear())
    assert set(heard[:-1]) <= {"WATCHDOG=1"}
