"""The one accessor to this app's settings: read when used, so `override_settings` works everywhere.

`notification_settings()` gives a frozen value; nobody else reads `settings.NOTIFICATIONS_*`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.tasks import DEFAULT_TASK_BACKEND_ALIAS

QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    via: str  # where work runs unless the caller says so
    channel: str  # alias in CHANNELS
    lease: timedelta  # how long a claim holds; past it, the worker counts as dead
    max_send: timedelta  # how long a send may take: its lease is not renewed for longer
    concurrent_sends: int  # threads of one process for channels that wait on the network
    max_message_length: int  # characters
    recipient_limits: Mapping[str, int]  # "hour", "day": how many notifications one recipient gets at most
    bulk_max_items: int  # in one request
    bulk_max_bytes: int
    max_wait: timedelta  # how long `Prefer: wait` may hold a request
    base_url: str  # of this service, for links in e-mails
    keep_days: Mapping[str, int]  # by status: what is older is deleted
    rates: Mapping[str, str]  # "caller", "address": requests, as "100/minute"
    redirect_to: str  # the one address that gets all that is written to addresses; none: everybody their own
    allowed_recipients: Sequence[str]  # addresses and @domains that get their own; none: no such list


@cache
def notification_settings() -> NotificationSettings:
    """The settings of this moment. Read once, and again after `override_settings`: one POST asks for them six times."""
    return NotificationSettings(
        via=getattr(settings, "NOTIFICATIONS_VIA", QUEUE),
        channel=getattr(settings, "NOTIFICATIONS_CHANNEL", "log"),
        lease=getattr(settings, "NOTIFICATIONS_LEASE", timedelta(seconds=30)),
        max_send=getattr(settings, "NOTIFICATIONS_MAX_SEND", timedelta(minutes=10)),
        concurrent_sends=getattr(settings, "NOTIFICATIONS_CONCURRENT_SENDS", 32),
        max_message_length=getattr(settings, "NOTIFICATIONS_MAX_MESSAGE_LENGTH", 10_000),
        recipient_limits=getattr(settings, "NOTIFICATIONS_RECIPIENT_LIMITS", {}),
        bulk_max_items=getattr(settings, "NOTIFICATIONS_BULK_MAX_ITEMS", 10_000),
        bulk_max_bytes=getattr(settings, "NOTIFICATIONS_BULK_MAX_BYTES", 10 * 1024 * 1024),
        max_wait=getattr(settings, "NOTIFICATIONS_MAX_WAIT", timedelta(seconds=10)),
        base_url=getattr(settings, "NOTIFICATIONS_BASE_URL", ""),
        keep_days=getattr(settings, "NOTIFICATIONS_KEEP_DAYS", {}),
        rates=getattr(settings, "NOTIFICATIONS_RATES", {}),
        redirect_to=getattr(settings, "NOTIFICATIONS_REDIRECT_TO", ""),
        allowed_recipients=tuple(getattr(settings, "NOTIFICATIONS_ALLOWED_RECIPIENTS", ())),
    )


@receiver(setting_changed)
def forget_settings(*, setting: str, **kwargs: object) -> None:
    if setting.startswith("NOTIFICATIONS_"):
        notification_settings.cache_clear()


def backend_alias(via: str) -> str:
    """`queue` is what people call the default backend; every other `via` is the alias in TASKS itself."""
    return DEFAULT_TASK_BACKEND_ALIAS if via == QUEUE else via


def via_of(alias: str) -> str:
    """The other way round."""
    return QUEUE if alias == DEFAULT_TASK_BACKEND_ALIAS else alias


def via_choices() -> list[str]:
    """What `via` may be: the aliases of TASKS, with `default` shown as `queue`."""
    return [via_of(alias) for alias in settings.TASKS]
