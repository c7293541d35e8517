"""Just enough to serve. `OPTIONS` of the environment is BACKGROUND_TASKS, as JSON."""

import json
import os

SECRET_KEY = "tests"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.background.server.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DIARY"] + ".sqlite3"}}
USE_TZ = True
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "tests.background.server.urls.SyncOnlyMiddleware",  # as WhiteNoise is: under ASGI it moves the rest to a thread
    "notifications.background.middleware.BackgroundTasksMiddleware",
]
BACKGROUND_TASKS = json.loads(os.environ.get("OPTIONS", "{}"))
TASKS = {
    "default": {"BACKEND": "tests.background.server.urls.DiaryBackend"},
    "thread": {"BACKEND": "notifications.backends.thread.ThreadBackend"},
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "formatters": {"line": {"format": "%(levelname)s %(message)s"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
