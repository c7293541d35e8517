"""System checks of what a project puts around this app: where its tables are, who keeps what waits, who leads to its
pages. Ids and messages as in `checks`."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connection, router
from django.db.models import Model
from django.tasks import default_task_backend
from django.urls import get_resolver

from .background.checks import views_of
from .conf import NotificationSettings, notification_settings

UNSUBSCRIBE = "notifications.pages.unsubscribe.Unsubscribe"


def refuse_default_backend() -> None:
    """Raises ImproperlyConfigured where our own tasks could not be declared, which is done before any check runs."""
    if not default_task_backend.supports_priority:
        backend = settings.TASKS["default"]["BACKEND"]
        raise ImproperlyConfigured(
            f"TASKS['default'] is {backend!r}, which keeps no task until its turn. Give this backend another alias, "
            "and 'default' to 'notifications.backends.queue.QueueBackend'."
        )


@register("notifications")
def check_default_backend(**kwargs: Any) -> Iterator[CheckMessage]:
    if not default_task_backend.supports_defer:
        backend = settings.TASKS["default"]["BACKEND"]
        yield Warning(
            f"TASKS['default'] is {backend!r}, which cannot keep a task for a time: what a channel fails to send at "
            "the first attempt stays as it is for ever.",
            hint="Set 'notifications.backends.queue.QueueBackend'. In tests of what is sent at once, leave it.",
            id="notifications.W029",
        )


@register("notifications")
def check_database(**kwargs: Any) -> Iterator[CheckMessage]:
    """A row and its entry are one transaction, the row has foreign keys to users, and whoever has just written it reads
    it: one database for all of that."""
    for label in ("notifications", "django_q"):
        models = apps.get_app_config(label).get_models() if apps.is_installed(label) else ()
        if not all(map(_is_in_place, models)):
            yield Error(
                f"DATABASE_ROUTERS send {label!r} elsewhere than to 'default': to read, to write or to migrate.",
                hint="Have them leave the apps 'notifications' and 'django_q' alone. A replica will not do: it may "
                "not have yet what was accepted a moment ago.",
                id="notifications.E030",
            )
    if connection.vendor not in ("postgresql", "sqlite"):
        yield Error(
            f"The database is {connection.vendor}: the statements of this app are written for PostgreSQL and SQLite.",
            hint="Set DATABASES['default']['ENGINE'] to one of these.",
            id="notifications.E043",
        )


def _is_in_place(model: type[Model]) -> bool:
    places = {router.db_for_write(model), router.db_for_read(model)}
    return places == {DEFAULT_DB_ALIAS} and router.allow_migrate_model(DEFAULT_DB_ALIAS, model)


@register("notifications")
def check_names(**kwargs: Any) -> Iterator[CheckMessage]:
    """A limit under a name that nobody reads is none: a misspelt one, or that of a variable of the environment."""
    known = {f"NOTIFICATIONS_{field.name.upper()}" for field in fields(NotificationSettings)}
    for name in dir(settings):
        if name.startswith("NOTIFICATIONS_") and name not in known:
            yield Warning(
                f"There is no setting {name}: nothing of this app reads it.",
                hint=f"Known are {', '.join(sorted(known))}. If it is your own, put notifications.W046 in "
                "SILENCED_SYSTEM_CHECKS.",
                id="notifications.W046",
            )


@register("notifications")
def check_users(**kwargs: Any) -> Iterator[CheckMessage]:
    """A token's user and its rights are one query, which knows these by name."""
    has = {field.name for field in get_user_model()._meta.get_fields()}  # noqa: SLF001 (a documented API)
    if missing := sorted({"is_active", "is_superuser", "groups", "user_permissions"} - has):
        yield Error(
            f"AUTH_USER_MODEL {settings.AUTH_USER_MODEL!r} has no {', '.join(missing)}.",
            hint="Let it have PermissionsMixin of django.contrib.auth, and a field is_active.",
            id="notifications.E045",
        )


@register("notifications")
def check_unsubscribe(**kwargs: Any) -> Iterator[CheckMessage]:
    """The links are in e-mails for good."""
    if not notification_settings().base_url or not getattr(settings, "ROOT_URLCONF", None):
        return
    classes = [getattr(view, "view_class", object) for view in views_of(get_resolver().url_patterns)]
    if not any(f"{c.__module__}.{c.__qualname__}" == UNSUBSCRIBE for cls in classes for c in cls.__mro__):
        yield Warning(
            "NOTIFICATIONS_BASE_URL is set, so e-mails have a link to unsubscribe, and no address leads to its page.",
            hint="Add path('', include('notifications.pages.urls')) to the addresses that lie behind it.",
            id="notifications.W044",
        )
