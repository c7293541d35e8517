"""The service's own settings as in production, but without TLS, and nobody waits for long."""

from datetime import timedelta

from project.settings import *  # noqa: F403

SECURE_SSL_REDIRECT = False
NOTIFICATIONS_MAX_WAIT = timedelta(milliseconds=50)
