"""The Celery application, where `via=celery` is wanted: `celery -A project worker`."""

import os
import sys
from io import StringIO

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from environs import EnvError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
try:
    django.setup()
    # Not to standard output, where it says that all is well: `celery inspect --json` has its answer there.
    call_command("check", verbosity=0, stdout=StringIO())

    from notifications.worker import app as worker_app  # it imports models

    app = worker_app()
except (EnvError, ImproperlyConfigured, SystemCheckError) as error:  # the message says it all
    sys.exit(str(error))
