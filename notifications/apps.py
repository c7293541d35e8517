"""The Django application: its name, and what is connected when it starts."""

from typing import Any

from django.apps import AppConfig, apps

from . import shapes


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: Any) -> None:
        shapes.refuse_misshapen()  # now: django-q2, which comes next, reads settings while it is imported
        super().__init__(app_name, app_module)

    def ready(self) -> None:
        from . import checks, receivers, surroundings, tracing  # noqa: F401  (importing them registers them)

        surroundings.refuse_default_backend()
        tracing.begin()

        if apps.is_installed("anymail"):
            from . import feedback  # noqa: F401
