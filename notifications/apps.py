"""The Django application: its name, and what is connected when it starts."""

from django.apps import AppConfig, apps


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, receivers, tracing  # noqa: F401  (importing them registers them)

        tracing.begin()

        if apps.is_installed("anymail"):
            from . import feedback  # noqa: F401
