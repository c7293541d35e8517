"""System checks: a wrong setting is refused at start, with the way out in the message.

Ids are stable: notifications.E001 ff. are about the service's own settings, E01x and E02x come from channels.
Each backend of TASKS brings checks of its own, which Django collects.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from . import redirect, retention, tracing
from .background.checks import check_background_tasks, check_views
from .channels import InvalidChannel, channels
from .conf import notification_settings, via_choices
from .pacing import Limits
from .rates import Rate
from .retry import RetryPolicy

register(check_background_tasks, "notifications")
register(check_views, "notifications")

MOST_DAYS = 36_500  # a hundred years: no time that is out of any range
KEYS = frozenset({"BACKEND", "OPTIONS", "RETRY", "LIMITS", "UNKNOWN"})  # of CHANNELS[alias]


@register("notifications")
def check_defaults(**kwargs: Any) -> Iterator[CheckMessage]:
    ours = notification_settings()
    if ours.via not in via_choices():
        yield Error(
            f"NOTIFICATIONS_VIA is {ours.via!r}, which is no alias in TASKS.",
            hint=f"Choose one of: {', '.join(via_choices())}.",
            id="notifications.E001",
        )
    if ours.channel not in channels.settings:
        yield Error(
            f"NOTIFICATIONS_CHANNEL is {ours.channel!r}, which is no alias in CHANNELS.",
            hint=f"Choose one of: {', '.join(sorted(channels.settings))}."
            if channels.settings
            else "CHANNELS has none. Set CHANNELS = {'log': {'BACKEND': 'notifications.channels.log.LogChannel', "
            "'OPTIONS': {'path': 'log.txt'}}}, or others: docs/channels.md.",
            id="notifications.E002",
        )
    if not isinstance(ours.lease, timedelta) or ours.lease < timedelta(seconds=1):
        yield Error(
            f"NOTIFICATIONS_LEASE is {ours.lease!r}.",
            hint="Set a timedelta of at least one second: a worker that does not renew within it counts as dead.",
            id="notifications.E003",
        )


@register("notifications")
def check_redirect(**kwargs: Any) -> Iterator[CheckMessage]:
    try:
        redirect.current()
    except ValueError as error:
        yield Error(
            f"NOTIFICATIONS_REDIRECT_TO and NOTIFICATIONS_ALLOWED_RECIPIENTS: {error}.",
            hint="The first is one address, the second a list of addresses and @domains.",
            id="notifications.E016",
        )


@register("notifications")
def check_tracing(**kwargs: Any) -> Iterator[CheckMessage]:
    if tracing.is_asked_for() and not tracing.is_installed():
        yield Warning(
            "The environment says where traces go (OTEL_…), but OpenTelemetry is not installed.",
            hint="Install requirements-otel.txt, or set OTEL_SDK_DISABLED=true.",
            id="notifications.W018",
        )


@register("notifications", deploy=True)
def check_redirect_in_production(**kwargs: Any) -> Iterator[CheckMessage]:
    """Whoever is held back in production gets nothing and hears nothing of it; on a copy that is what one wants."""
    ours = notification_settings()
    if ours.redirect_to or ours.allowed_recipients:
        yield Warning(
            "E-mail does not go to its recipients: "
            "NOTIFICATIONS_REDIRECT_TO or NOTIFICATIONS_ALLOWED_RECIPIENTS is set.",
            hint="Unset both in production. On a copy of it, put notifications.W017 in SILENCED_SYSTEM_CHECKS.",
            id="notifications.W017",
        )


@register("notifications")
def check_base_url(**kwargs: Any) -> Iterator[CheckMessage]:
    """What is none makes links that no mail program follows, in e-mails that are out already."""
    base_url = notification_settings().base_url
    if base_url and not _is_base_url(base_url):
        yield Error(
            f"NOTIFICATIONS_BASE_URL is {base_url!r}.",
            hint="Set where people reach this service, such as https://notify.example.com, in ASCII.",
            id="notifications.E026",
        )


def _is_rate(text: str) -> bool:
    try:
        Rate.parse(text)
    except ValueError:
        return False
    return True


def _is_base_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        has_place = bool(url.hostname) and url.port != 0  # raises ValueError for what is no port
    except ValueError:
        return False
    # A path may follow; to put ours behind a query would change what is asked.
    return has_place and re.fullmatch(r"https?://[!-~]+", text) is not None and not re.search("[?#@]", text)


@register("notifications")
def check_keep_days(**kwargs: Any) -> Iterator[CheckMessage]:
    keep_days = notification_settings().keep_days
    if set(keep_days) - retention.keepable() or any(
        not 1 <= days <= MOST_DAYS for days in keep_days.values()
    ):
        yield Error(
            f"NOTIFICATIONS_KEEP_DAYS is {dict(keep_days)!r}.",
            hint=f"Give whole days, 1 to {MOST_DAYS}, for {', '.join(sorted(retention.keepable()))}; "
            "or leave it empty.",
            id="notifications.E019",
        )


@register("notifications")
def check_rates(**kwargs: Any) -> Iterator[CheckMessage]:
    """A rate that cannot be read is a 500 for each request, and one of 0 lets nobody in."""
    for name, rate in notification_settings().rates.items():
        if name not in {"caller", "address"} or not _is_rate(rate):
            yield Error(
                f"NOTIFICATIONS_RATES[{name!r}] is {rate!r}.",
                hint="Known are 'caller' and 'address': '100/minute' (second, minute, hour, day), or '' for no limit.",
                id="notifications.E027",
            )
    for window in sorted(notification_settings().recipient_limits.keys() - {"hour", "day"}):
        yield Error(
            f"NOTIFICATIONS_RECIPIENT_LIMITS has an unknown key: {window!r}.",
            hint="Known are 'hour' and 'day'.",
            id="notifications.E028",
        )


@register("notifications")
def check_provider(**kwargs: Any) -> Iterator[CheckMessage]:
    """What a provider reports must be heard, and be believed only from whoever shows the secret."""
    secrets: list[str] = getattr(settings, "ANYMAIL_WEBHOOK_SECRET", [])
    if secrets and not apps.is_installed("anymail"):
        yield Error(
            "ANYMAIL_WEBHOOK_SECRET is set, and anymail is not there.",
            hint="pip install -r requirements-anymail.txt, and 'anymail' in INSTALLED_APPS; or unset it.",
            id="notifications.E022",
        )
    if any(not all(secret.partition(":")) for secret in secrets):
        yield Error(
            "ANYMAIL_WEBHOOK_SECRET is not of the form user:password.",
            hint="The provider's webhook is https://user:password@this.host/anymail/…",
            id="notifications.E023",
        )
    mailers: dict[str, dict[str, Any]] = getattr(settings, "MAILERS", {})
    uses = any(config.get("BACKEND", "").startswith("anymail.") for config in mailers.values())
    if uses and not secrets:
        yield Warning(
            "A provider sends e-mail, and what it reports of bounces and complaints is not heard.",
            hint="Set ANYMAIL_WEBHOOK_SECRET=user:password, and give the provider the webhook's address.",
            id="notifications.W024",
        )


@register("notifications")
def check_channels(**kwargs: Any) -> Iterator[CheckMessage]:
    for alias in channels.settings:
        try:
            channel = channels[alias]
        except InvalidChannel as error:
            yield Error(
                str(error),
                hint="BACKEND is the dotted path of a subclass of notifications.channels.BaseChannel.",
                id="notifications.E010",
            )
            continue
        for name in sorted(channels.settings[alias].keys() - KEYS):
            yield Error(
                f"CHANNELS[{alias!r}] has an unknown key: {name!r}.",
                hint=f"Known are {', '.join(sorted(KEYS))}.",
                id="notifications.E025",
            )
        yield from channel.check()
        try:
            Limits.from_options(channel.limits)
        except ValueError as error:
            yield Error(
                f"CHANNELS[{alias!r}]['LIMITS']: {error}.",
                hint="Leave LIMITS out for none.",
                id="notifications.E014",
            )
        if channel.unknown not in ("retry", "hold"):
            yield Error(
                f"CHANNELS[{alias!r}]['UNKNOWN'] is {channel.unknown!r}.",
                hint="Set 'retry' (it may arrive twice) or 'hold' (it waits for somebody to decide).",
                id="notifications.E015",
            )
        try:
            RetryPolicy.from_options(channel.retry)
        except (TypeError, ValueError) as error:
            yield Error(
                f"CHANNELS[{alias!r}]['RETRY']: {error}.",
                hint="Leave RETRY out for the defaults.",
                id="notifications.E013",
            )
