"""Settings of the real clusters that the process tests start: the service's own, with small limits to reach."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, LOGGING, Q_CLUSTER

if os.environ.get("QUEUE_TEST_POOL"):
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["OPTIONS"] = {"pool": True}

TASKS = {"default": {"BACKEND": "notifications.backends.queue.QueueBackend", "QUEUES": ["default", "bulk"]}}
Q_CLUSTER = {
    **Q_CLUSTER,
    "workers": int(os.environ.get("QUEUE_TEST_WORKERS", "2")),
    "timeout": int(os.environ.get("QUEUE_TEST_TIMEOUT", "60")),
    "retry": 70,
    "bulk": 200,
    "recycle": int(os.environ.get("QUEUE_TEST_RECYCLE", "10000")),
    "ALT_CLUSTERS": {"bulk": {"workers": 1}},
}
if cache := os.environ.get("QUEUE_TEST_CACHE"):
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": cache}
    }
NOTIFICATIONS_VIA = "queue"
LOGGING = {**LOGGING, "loggers": {"django.tasks": {"level": "WARNING"}}}
