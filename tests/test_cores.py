"""Each web process stays on a core of its own, where there are as many of them as cores."""

import os
import runpy
import signal
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import psutil
import pytest

from project.cores import available, core_for
from tests.processes import answers, free_port, running, wait_until


def test_each_core_in_its_turn() -> None:
    assert core_for(2, [], {4, 7}) == 4
    assert core_for(2, [4], {4, 7}) == 7
    assert core_for(4, [4, 7], {4, 7}) == 4
    assert core_for(4, [4, 7, 4], {4, 7}) == 7


def test_the_core_of_one_that_died_is_taken_again() -> None:
    assert core_for(2, [7], {4, 7}) == 4


def test_at_a_reload_the_new_ones_spread_too() -> None:
    assert core_for(2, [4, 7], {4, 7}) == 4
    assert core_for(2, [4, 7, 4], {4, 7}) == 7


def test_where_it_would_be_unfair_the_kernel_chooses() -> None:
    """Fewer processes than cores, some cores with more of them than others, or a system without a choice."""
    assert core_for(2, [], {0, 1, 2, 3}) is None
    assert core_for(3, [0, 1], {0, 1}) is None
    assert core_for(1, [], {0}) is None
    assert core_for(2, [], frozenset()) is None
    assert core_for(2, [None, 1], {0, 1}) == 0


@pytest.mark.skipif(not available(), reason="A system that does not let one choose")
def test_what_may_not_stay_says_so_and_works_on(monkeypatch, tmp_path: Path) -> None:
    """As in a sandbox: here there is no such core."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    server, before = Mock(), available()
    runpy.run_path("gunicorn.conf.py")["post_fork"](server, SimpleNamespace(core=100_000))
    server.log.warning.assert_called_once()
    assert available() == before


def test_a_reload_brings_new_code_of_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The master has loaded some of the project for itself, its logger for one: new workers begin without it."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    conf = runpy.run_path("gunicorn.conf.py")
    assert {"project.environment", "notifications"} <= sys.modules.keys()
    conf["post_fork"](Mock(), SimpleNamespace(core=None))
    assert not {"project", "notifications"} & {name.partition(".")[0] for name in sys.modules}
    assert "environs" in sys.modules


@pytest.mark.slow
def test_what_a_reload_leaves_behind_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The master forks again and again. What was in use at one fork, and is in a circle at a reload, can go."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    configuration = runpy.run_path("gunicorn.conf.py")
    server = SimpleNamespace(WORKERS={}, num_workers=1)

    class Settings:
        """As gunicorn's own: an object that knows itself."""

        def __init__(self) -> None:
            self.itself = self

    settings = Settings()
    known = weakref.ref(settings)
    configuration["pre_fork"](server, SimpleNamespace())
    del settings
    configuration["on_reload"](server)
    assert known() is None


@pytest.mark.process
@pytest.mark.skipif(len(available()) < 2, reason="One core, or a system that does not let one choose")
@pytest.mark.parametrize("is_wanted", [True, False])
def test_web_processes_stay_where_they_are(tmp_path: Path, *, is_wanted: bool) -> None:
    cores, port = available(), free_port()
    env = {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "SECRET_KEY": "x",
        "DEBUG": "true",
        "PORT": str(port),
        "WEB_CONCURRENCY": str(len(cores)),
        "WEB_CPU_AFFINITY": str(is_wanted).lower(),
        "TMPDIR": str(tmp_path),
    }
    expected = sorted([core] for core in cores) if is_wanted else [sorted(cores)] * len(cores)
    gunicorn = Path(sys.executable).with_name("gunicorn")
    with running(gunicorn, "project.wsgi", env=env, output=tmp_path / "web.txt") as master:

        def affinities() -> list[list[int]]:
            try:
                return sorted(process.cpu_affinity() for process in psutil.Process(master.pid).children())
            except psutil.NoSuchProcess:  # it has just ended
                return []

        wait_until(lambda: answers(f"http://127.0.0.1:{port}"))
        wait_until(lambda: affinities() == expected)
        victim = psutil.Process(master.pid).children()[-1].pid
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(victim) and affinities() == expected)
