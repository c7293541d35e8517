"""The service under fire: gunicorn and qcluster, each started again when it has died, as systemd would."""

import glob
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.chaos.channels import busy_folder
from tests.processes import ROOT

RESTART_AFTER = 0.2  # seconds


class Program:
    """One program in a session of its own. Whatever it forks stays in the session, orphans too."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.command = command
        self.env = {**os.environ, **env}
        self.output = folder / f"{name}.txt"
        self.sessions: set[int] = set()
        self.exits: list[int] = []
        self.start()

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.sessions.add(self.process.pid)

    def members(self) -> list[psutil.Process]:
        """All living processes it ever started, itself included."""
        found = []
        for pid in psutil.pids():
            try:
                if os.getsid(pid) in self.sessions:
                    process = psutil.Process(pid)
                    if process.status() != psutil.STATUS_ZOMBIE:
                        found.append(process)
            except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
                continue
        return found

    def with_title(self, word: str) -> list[psutil.Process]:
        """Members whose title has this word: sentinel, pusher, worker."""
        found = []
        for process in self.members():
            try:
                if word in " ".join(process.cmdline()).split() and process.pid != self.process.pid:
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def stop(self, grace: float) -> int | None:
        """SIGTERM, then the exit status; None if it had to be killed."""
        self.process.terminate()
        try:
            return self.process.wait(grace)
        except subprocess.TimeoutExpired:
            return None

    def kill_all(self) -> list[str]:
        """Kill what is left of it. Returns what that was."""
        left = []
        for process in self.members():
            try:
                left.append(f"{process.pid} {' '.join(process.cmdline())}")
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(10)
        return left


class Service:
    """Web and cluster, supervised until `stop`."""

    def __init__(self, folder: Path, *, clocks_apart: float = 0) -> None:
        """`clocks_apart`: one more cluster, as on a second host whose clock is so many seconds ahead."""
        self.log_file = folder / "log.txt"
        self.busy_folder = busy_folder(self.log_file)
        self.busy_folder.mkdir()
        gunicorn = str(Path(sys.executable).with_name("gunicorn"))
        qcluster = [sys.executable, "manage.py", "qcluster"]
        self.web = Program("web", [gunicorn, "project.wsgi"], {}, folder)
        self.cluster = Program("cluster", qcluster, {}, folder)
        self.programs = [self.web, self.cluster]
        if clocks_apart:
            library = faketime_library()
            assert library is not None
            faked = {
                "LD_PRELOAD": library,
                "FAKETIME": f"{clocks_apart:+g}s",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
            self.programs.append(Program("second-host", qcluster, faked, folder))
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._supervisor.start()

    @property
    def clusters(self) -> list[Program]:
        return self.programs[1:]

    def workers(self, program: Program, *, busy: bool | None = None) -> list[psutil.Process]:
        """The workers of the web or of the cluster; `busy`: only those in the middle of a send, or the others."""
        marks = {name.name for name in self.busy_folder.iterdir()}
        return [
            process
            for process in program.with_title("worker")
            if busy is None or (str(process.pid) in marks) == busy
        ]

    def stop(self) -> list[str]:
        """End all of it in an orderly way. Returns what did not go as it should."""
        self._stopping.set()
        self._supervisor.join()
        complaints = []
        for program, grace in [(program, 40.0) for program in self.programs]:
            status = program.stop(grace)
            if status != 0:
                complaints.append(f"{program.name} ended with status {status} after SIGTERM")
        deadline = time.monotonic() + 5
        while any(program.members() for program in self.programs) and time.monotonic() < deadline:
            time.sleep(0.05)
        for program in self.programs:
            complaints += [f"{program.name} left a process: {what}" for what in program.kill_all()]
        return complaints

    def kill(self) -> None:
        """Whatever happened, nothing of it stays."""
        self._stopping.set()
        self._supervisor.join()
        for program in self.programs:
            program.kill_all()

    def _supervise(self) -> None:
        while not self._stopping.wait(RESTART_AFTER / 2):
            for program in self.programs:
                status = program.process.poll()
                if status is not None and not self._stopping.wait(RESTART_AFTER):
                    program.exits.append(status)
                    program.start()


def faketime_library() -> str | None:
    """What gives a process a clock of its own (Debian: `apt install faketime`), where it is installed."""
    return next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


def signal_group(program: Program, number: signal.Signals) -> None:
    """To everybody in the group at once, as systemd, `timeout` and Ctrl-C do."""
    os.killpg(program.process.pid, number)
