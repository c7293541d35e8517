"""The work, the same for everybody: one line appended to a file. Recipients that begin with s take 0.5 s."""

import os
import time

SLOW_SECONDS = 0.5
LOG = os.environ["NOTIFICATIONS_LOG_FILE"]
SLOW_LOG = os.environ["BENCH_SLOW_LOG_FILE"]


def deliver(recipient: str, message: str = "some notification") -> None:
    path = LOG
    if recipient.startswith("s"):
        time.sleep(SLOW_SECONDS)
        path = SLOW_LOG
    append(path, f"notification for {recipient}: {message}\n")


def append(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
