"""Both entry points, as a user's project has them."""

import os

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from notifications.background.asgi import background_tasks

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.background.server.settings")

wsgi = get_wsgi_application()
asgi = background_tasks(get_asgi_application())
