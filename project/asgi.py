"""The ASGI application: `gunicorn -k asgi project.asgi` or `uvicorn project.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from notifications.background.asgi import background_tasks

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = background_tasks(get_asgi_application())
