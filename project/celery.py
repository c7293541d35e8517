"""The Celery application, where `via=celery` is wanted: `celery -A project worker`."""

import os

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()
call_command("check", verbosity=0)

from notifications.worker import app as worker_app  # noqa: E402  (it imports models)

app = worker_app()
