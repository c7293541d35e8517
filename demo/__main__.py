"""`python -m demo`: start the service on a database of its own, send to everybody, and leave the pages running."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.processes import ROOT

from .sending import afterwards
from .service import USER, Demonstration, demonstration

EVERY = 2  # seconds between two that are sent while the pages are watched


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Show the service at work.")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo", help="what it writes; emptied first")
    parser.add_argument("--count", type=int, default=400, help="how many notifications, about")
    options = parser.parse_args()
    # SIGINT too: a shell has what it starts with `&` ignore it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    print("Sending …", flush=True)
    try:
        with demonstration(options.folder, int(os.environ.get("PORT", "8000")), options.count) as shown:
            print(_said(shown), flush=True)
            for item in afterwards():
                shown.client.send(item)
                time.sleep(EVERY)
    except KeyboardInterrupt:
        print("\nEnded.")
    except (OSError, TimeoutError) as error:
        sys.exit(f"{error}\nweb.txt and worker.txt in {options.folder} may say why.")


def _said(shown: Demonstration) -> str:
    counts = shown.counts()
    return f"""
  {sum(counts.values())} were accepted: {", ".join(f"{count} {status}" for status, count in counts.items())}.
  Their times are spread over the last hour; one more comes every {EVERY} s.

  Try it     {shown.url}/
  Overview   {shown.url}/admin/notifications/overview/   user {USER}, password {shown.password} (shown once)
  API        {shown.url}/api/v1/docs
  Files      {shown.folder}

  Ctrl-C ends everything.
"""


def _interrupt(*args: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
