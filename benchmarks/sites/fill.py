"""`python -m benchmarks.sites.fill LETTER START COUNT`: enqueue so many jobs, as fast as the package can."""

import importlib
import os
import sys

import django


def main() -> None:
    django.setup()
    letter, start, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    recipients = (f"{letter}{n:08d}@example.com" for n in range(start, start + number))
    site = importlib.import_module(f"benchmarks.sites.{os.environ['BENCH_SITE']}")
    if hasattr(site, "fill"):
        site.fill(recipients)
    else:
        for recipient in recipients:
            site.enqueue(recipient)


if __name__ == "__main__":
    main()
