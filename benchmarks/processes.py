"""Processes of the measured systems: started, weighed, and ended by their pids, whatever happens."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

GRACE = 4.0  # seconds between SIGTERM and SIGKILL
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

libc = ctypes.CDLL(None)


class ProcessFailed(RuntimeError):
    """A measured process ended by itself, or did not come up. The message ends with its last output."""


def adopt_orphans() -> None:
    """Make this process the parent of what a dead child leaves behind, so that it can be found and ended."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_leftovers() -> int:
    """Kill every descendant of this process. Returns how many there were."""
    left = psutil.Process().children(recursive=True)
    _kill(left)
    return len(left)


class Process:
    """One command and all that it starts. Its output goes to a file."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], output: Path, cwd: Path) -> None:
        self.output = output
        with output.open("ab") as file:
            self._popen = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is ours: it must not reach them before we have measured
                preexec_fn=_die_with_parent,
            )
        self._root = psutil.Process(self._popen.pid)

    def check(self) -> None:
        """Raise ProcessFailed when the command has ended."""
        if (code := self._popen.poll()) is not None:
            tail = self.output.read_text(errors="replace")[-1500:]
            raise ProcessFailed(f"ended with status {code}: {tail}")

    def wait(self, timeout: float) -> None:
        """Wait for a command that ends by itself. Raises ProcessFailed when it fails or takes too long."""
        try:
            code = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise ProcessFailed(f"not ready after {timeout:.0f} s") from None
        if code:
            self.check()

    def tree(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self._root, *self._root.children(recursive=True)]
        return []

    def cpu(self) -> float:
        """Seconds of CPU, user and system, of the whole tree so far, with the children it has reaped."""
        total = 0.0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
        return total

    def pss(self) -> float:
        """MiB of memory, shared pages split among those that share them."""
        return tree_pss(self.tree())

    def stop(self) -> None:
        """SIGTERM, a grace time, then SIGKILL to whatever is left of the tree, each by its pid."""
        tree = self.tree()
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(GRACE)
        _kill(tree)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(1)


def tree_pss(processes: Sequence[psutil.Process]) -> float:
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            total += process.memory_full_info().pss
    return total / 2**20


def wait_until(what: str, condition, timeout: float, step: float = 0.02) -> None:
    """Poll `condition` until it is true. Raises ProcessFailed, naming `what`, after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise ProcessFailed(f"{what}: not within {timeout:.0f} s")
        time.sleep(step)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # psutil compares start times: never a reused pid
            process.kill()
    psutil.wait_procs(processes, timeout=2)


def _die_with_parent() -> None:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(1)
