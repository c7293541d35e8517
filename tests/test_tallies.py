"""What web processes that are gone have counted: in the totals for ever, in one file."""

import sys
from pathlib import Path
from subprocess import run

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from notifications import tallies

COUNT = """
import os
from prometheus_client import Counter, Gauge, Histogram
Counter("things", "…", ["kind"]).labels("größer, than 8").inc(2)
Histogram("seconds", "…", buckets=(1, 2)).observe(1.5)
Gauge("level", "…").set(7)
print(os.getpid())
"""


def counting(folder: Path) -> int:
    """A process that counts and ends. Its id."""
    env = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return int(run([sys.executable, "-c", COUNT], env=env, check=True, capture_output=True).stdout)


def totals(folder: Path) -> dict[str, float]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    found = {
        sample.name + sample.labels.get("le", ""): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if metric.type != "gauge"
    }
    assert found
    return found


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("*.db")}


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "_waiting", set())


@pytest.mark.process
def test_those_that_are_gone_have_one_file(tmp_path: Path) -> None:
    pids = [counting(tmp_path) for _ in range(3)]
    before = totals(tmp_path)
    assert before == {
        "things_total": 6,
        "seconds_bucket1.0": 0,
        "seconds_bucket2.0": 3,
        "seconds_bucket+Inf": 3,
        "seconds_count": 3,
        "seconds_sum": 4.5,
    }
    for pid in pids:
        tallies.add_up(str(tmp_path), pid)
        assert totals(tmp_path) == before
    gauges = {f"gauge_all_{pid}.db" for pid in pids}
    assert files(tmp_path) == {"counter_gone.db", "histogram_gone.db"} | gauges


@pytest.mark.process
def test_nothing_disappears_from_under_a_reader(tmp_path: Path) -> None:
    """Nor does the master wait for it: what is left comes the next time."""
    first, second = counting(tmp_path), counting(tmp_path)
    with tallies.reading(str(tmp_path)):
        tallies.add_up(str(tmp_path), first)
        assert f"counter_{first}.db" in files(tmp_path)
        with tallies.reading(str(tmp_path)):  # readers do not wait for each other
            pass
    tallies.add_up(str(tmp_path), second)
    assert not {f"counter_{first}.db", f"counter_{second}.db"} & files(tmp_path)
    assert totals(tmp_path)["things_total"] == 4


@pytest.mark.process
def test_what_was_cut_off_harms_no_other(tmp_path: Path) -> None:
    """A process may be killed while it makes its file. Every scrape would fail at it."""
    pid = counting(tmp_path)
    (tmp_path / "counter_1.db").write_bytes(b"")
    (tmp_path / "histogram_1.db").write_bytes(b"\x40\0\0\0\0\0\0\0\xff\xff\0\0")
    for gone in (1, pid):
        tallies.add_up(str(tmp_path), gone)
    assert totals(tmp_path)["things_total"] == 2
    assert not {"counter_1.db", "histogram_1.db"} & files(tmp_path)


def test_a_folder_that_is_not_there_does_not_end_the_master(tmp_path: Path) -> None:
    tallies.add_up(str(tmp_path / "nowhere"), 1)
