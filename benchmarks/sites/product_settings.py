"""The product's own settings, with the door open as the peers' is, and one channel that takes 0.5 s."""

import os

from project import settings as product

globals().update((name, getattr(product, name)) for name in dir(product) if name.isupper())

ROOT_URLCONF = "benchmarks.sites.product_urls"
CHANNELS = product.CHANNELS | {
    "slow": {
        "BACKEND": "benchmarks.sites.slow_channel.SlowChannel",
        "OPTIONS": {"path": os.environ["BENCH_SLOW_LOG_FILE"]},
    }
}
