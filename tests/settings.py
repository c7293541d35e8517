"""The service's own settings, made independent of the machine's environment and `.env`."""

import os
import tempfile
from importlib.util import find_spec

os.environ["SECRET_KEY"] = "tests"
os.environ["DEBUG"] = "false"
os.environ["ALLOWED_HOSTS"] = "testserver,localhost,127.0.0.1"
os.environ["NOTIFICATIONS_VIA"] = "queue"
os.environ["LOG_LEVEL"] = "INFO"
os.environ["CELERY_BROKER_URL"] = ""
os.environ["ANYMAIL_WEBHOOK_SECRET"] = "provider:secret" if find_spec("anymail") else ""
os.environ.setdefault("DATABASE_URL", "sqlite:///db.sqlite3")

from project.settings import *  # noqa: F403
from project.settings import DATABASES

SECURE_SSL_REDIRECT = False
WHITENOISE_AUTOREFRESH = True  # each test client would read 170 files at its start
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A database of its own for each run, so that two runs side by side do not meet. On SQLite a file, not memory:
# threads of the tests then meet the same locks as threads of the service.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    test_name = os.path.join(tempfile.gettempdir(), f"notifications-test-{os.getpid()}.sqlite3")
    # No test cuts the power, and whoever closes the last connection, as tests with transactions do, waits for a sync.
    options = DATABASES["default"]["OPTIONS"]
    unsynced = f"{options['init_command']}; PRAGMA synchronous=OFF"
    DATABASES["default"]["OPTIONS"] = options | {"init_command": unsynced}
else:
    test_name = f"test_notifications_{os.getpid()}"
DATABASES["default"]["TEST"] = {"NAME": test_name}
