"""TASKS[alias]["OPTIONS"] of this backend as a value, and what `manage.py check` says of them."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error

SCHEMES = ("amqp", "amqps", "pyamqp", "redis", "rediss")


@dataclass(frozen=True, slots=True)
class Options:
    broker_url: str = ""
    queue_prefix: str = "notifications."  # of the broker's queues: other applications may share it
    time_limit: float = 300.0  # seconds a task may run; then its process is replaced
    connect_timeout: float = 2.0  # seconds; publishing never takes longer before the broker counts as down
    fallback: str = ""  # alias of TASKS: where work goes while the broker is down
    lost_after: float = 60.0  # seconds; an older message that the broker no longer has counts as lost

    @property
    def answer_timeout(self) -> float:
        """Seconds until a broker counts as down that is connected and does not answer."""
        return self.connect_timeout + 3

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Self:
        """Unknown keys are left out here; a system check names them."""
        names = {field.name for field in fields(cls)}
        return cls(**{key.lower(): value for key, value in options.items() if key.lower() in names})


def check_options(alias: str, options: dict[str, Any]) -> Iterator[CheckMessage]:
    where = f"TASKS[{alias!r}]"
    known = {field.name.upper() for field in fields(Options)}
    for name in sorted(options.keys() - known):
        yield Error(
            f"{where}: OPTIONS has an unknown key: {name!r}.",
            hint=f"Known are {', '.join(sorted(known))}.",
            id="notifications.celery.E001",
        )
    if not _is_broker(str(options.get("BROKER_URL", ""))):
        yield Error(
            f"{where}: BROKER_URL is no URL of one of the kinds {', '.join(SCHEMES)}.",
            hint="Set CELERY_BROKER_URL, such as amqp://user:password@host:5672// or redis://host:6379/0.",
            id="notifications.celery.E002",
        )
    if find_spec("celery") is None:
        yield Error(
            f"{where} needs Celery, which is not installed.",
            hint="Install what requirements-celery.txt names, or take this alias out of TASKS.",
            id="notifications.celery.E003",
        )
    for name in ("TIME_LIMIT", "CONNECT_TIMEOUT", "LOST_AFTER"):
        value = options.get(name, 1)
        if not isinstance(value, int | float) or value <= 0:
            yield Error(
                f"{where}: {name} must be a number of seconds greater than 0.",
                hint="Leave it out for the default.",
                id="notifications.celery.E004",
            )
    if "django_q" not in {str(name).split(".")[0] for name in settings.INSTALLED_APPS}:
        yield Error(
            f"{where} keeps what is not published yet in django-q2's table.",
            hint="Add 'django_q' to INSTALLED_APPS, after 'notifications'.",
            id="notifications.celery.E005",
        )


def _is_broker(url: str) -> bool:
    """Several servers stand between semicolons: the next is tried where one is away."""
    servers = url.split(";")
    return len({server[:4] for server in servers}) == 1 and all(map(_is_server, servers))


def _is_server(url: str) -> bool:
    scheme, _, rest = url.partition("://")  # as Celery takes it: neither blanks nor capitals
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # of the port, too
        return False
    if scheme not in SCHEMES or parts.scheme != scheme or rest != rest.strip() or port == 0:
        return False
    if scheme.startswith("redis") and parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        return False
    return not parts.query or _takes_query(url)


def _takes_query(url: str) -> bool:
    """Whether the client makes something of what stands behind the question mark."""
    if url.startswith("amqp") and "ssl_" in urlsplit(url).query:  # they are Redis's
        return False
    try:
        from kombu.connection import Connection

        Connection(url)  # type: ignore[no-untyped-call]
    except ImportError:
        return True  # another check names what is missing
    except (KeyError, TypeError, ValueError):
        return False
    return True
