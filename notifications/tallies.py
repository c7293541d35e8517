"""What web processes have counted, in files of one folder: read by every scrape, one for each process that lives.

Note [One file of the dead]: what a process has counted must go on being counted when it is gone, or the totals would
fall. Kept as it is, its file would be read by every scrape for as long as the service runs, one more for each process
that a reload replaces. So the master adds what it holds to one file, and removes it.

This knows no Django: the master, which loads no project, adds up, and its workers read.
"""

import fcntl
import logging
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)

ADDED = ("counter", "histogram", "summary")  # not gauges: theirs is what each process has now
GONE = "gone"  # stands where a living process has its id
LOCK = "lock"

type Values = Iterable[tuple[str, float, float]]

_waiting: set[int] = set()  # died while somebody was reading


@contextmanager
def reading(folder: str) -> Iterator[None]:
    """No file disappears from the folder while the block runs, and none is there twice."""
    with open(Path(folder, LOCK), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def add_up(folder: str, pid: int) -> None:
    """The process is gone: add its counts to those of the others that are. Raises nothing that a disk can cause.

    Waits for no reader, because a master has other things to do: while there is one, it is left for the next time.
    """
    _waiting.add(pid)
    try:
        with open(Path(folder, LOCK), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for kind in ADDED:
                _add_up(Path(folder), kind)
            _waiting.clear()
    except BlockingIOError:
        logger.debug("metrics=busy waiting=%d", len(_waiting))
    except OSError as error:  # the disk is full, or somebody has removed the folder
        logger.warning("metrics=not-added-up error=%s", error)


def _add_up(folder: Path, kind: str) -> None:
    files = [file for pid in _waiting if (file := folder / f"{kind}_{pid}.db").exists()]
    if not files:
        return
    total = folder / f"{kind}_{GONE}.db"
    sums: dict[str, tuple[float, float]] = {}
    for file in [total, *files]:
        for key, value, at in _values(file):
            before, latest = sums.get(key, (0.0, 0.0))
            sums[key] = before + value, max(latest, at)
    # Not by the library's own class: it writes through a mapping, and where the disk is full that ends the master.
    new = folder / f"{kind}_{GONE}.new"
    new.write_bytes(_packed((key, value, at) for key, (value, at) in sums.items()))
    os.replace(new, total)
    for file in files:
        file.unlink()


def _values(file: Path) -> list[tuple[str, float, float]]:
    """None of a file that is not there, or that its process was killed in the middle of making."""
    try:
        found = MmapedDict.read_all_values_from_file(file)  # type: ignore[no-untyped-call]
        return [(key, value, at) for key, value, at, _ in found]
    except FileNotFoundError:
        return []
    except (RuntimeError, UnicodeDecodeError, struct.error) as error:
        logger.warning("metrics=unreadable file=%s error=%s", file.name, error)
        return []


def _packed(values: Values) -> bytes:
    """The form that `prometheus_client.mmap_dict` describes."""
    parts = []
    for key, value, at in values:
        encoded = key.encode()
        padded = encoded + b" " * (8 - (len(encoded) + 4) % 8)
        parts.append(struct.pack(f"i{len(padded)}sdd", len(encoded), padded, value, at))
    body = b"".join(parts)
    return struct.pack("i4x", 8 + len(body)) + body
