"""The environment, and `.env`, which never overrides it: read once, for every file of the project.

What cannot be read is refused in one line: the variable, what is wrong with its value (which may be a secret, and is
not repeated), and, for those of the README, a value that is right.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environs import Env, EnvError, EnvValidationError, validate

BASE_DIR = Path(__file__).resolve().parent.parent

EXAMPLES = {
    "ALLOWED_HOSTS": "notify.example.com,.example.org",
    "ANYMAIL_WEBHOOK_SECRET": "user:password",
    "CELERY_BROKER_URL": "amqp://user:password@host:5672//",
    "DATABASE_URL": "postgres://user:password@host:5432/name",
    "DEBUG": "false",
    "DEFAULT_FROM_EMAIL": "notifications@example.com",
    "EMAIL_PROVIDER": "postmark",
    "EMAIL_PROVIDER_OPTIONS": "server_token=…,timeout=10",
    "EMAIL_SMTP_HOST": "mail.example.com",
    "EMAIL_SMTP_PASSWORD": "password",
    "EMAIL_SMTP_PORT": "587",
    "EMAIL_SMTP_TLS": "true",
    "EMAIL_SMTP_USER": "user",
    "HOST": "127.0.0.1",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "INFO",
    "NOTIFICATIONS_ADDRESS_RATE": "60/minute",
    "NOTIFICATIONS_ALLOWED_RECIPIENTS": "me@example.com,@example.org",
    "NOTIFICATIONS_BASE_URL": "https://notify.example.com",
    "NOTIFICATIONS_CALLER_RATE": "100/minute",
    "NOTIFICATIONS_KEEP_DAYS": "sent=30,failed=90,cancelled=30,tasks=7",
    "NOTIFICATIONS_LOG_FILE": "log.txt",
    "NOTIFICATIONS_RECIPIENT_PER_DAY": "100",
    "NOTIFICATIONS_RECIPIENT_PER_HOUR": "20",
    "NOTIFICATIONS_REDIRECT_TO": "me@example.com",
    "NOTIFICATIONS_VIA": "queue",
    "NOTIFICATIONS_WEBHOOK_SECRETS": "whsec_bm90aWZpY2F0aW9ucyBub3RpZmljYXRpb25z",
    "NUM_PROXIES": "1",
    "PORT": "8000",
    "QCLUSTER_WORKERS": "2",
    "SCRIPT_NAME": "/notify",
    "SECRET_KEY": "50-random-characters",
    "WEB_CONCURRENCY": "2",
    "WEB_CPU_AFFINITY": "true",
}


def refusal(name: str, problem: str) -> EnvError:
    example = f" For example: {name}={EXAMPLES[name]}" if name in EXAMPLES else ""  # none for one of your own
    return EnvError(f"Environment variable {name}: {problem}{example}")


class Environment(Env):
    """Raises EnvError, whose text is the one line, for what is missing or makes no sense."""

    def words(self, name: str, default: list[str], *, form: str = "", of: str = "") -> list[str]:
        """What stands between commas, without blanks around it. `form` is what each must look like, `of` says it."""
        words = [word.strip() for word in self.str(name, default=",".join(default)).split(",")]
        words = [word for word in words if word]
        if form and (wrong := [word for word in words if not re.fullmatch(form, word, re.IGNORECASE)]):
            raise refusal(name, f"{wrong[0]!r} is not {of}.")
        return words

    def pairs(self, name: str) -> dict[str, str]:
        """`a=1,b=2`; nothing, if it is not set."""
        pairs = [word.partition("=") for word in self.words(name, [])]
        if not all(key.strip() and equals for key, equals, _ in pairs):
            raise refusal(name, "Write name=value, and commas between them.")
        return {key.strip(): value.strip() for key, _, value in pairs}

    def counts(self, name: str) -> dict[str, int]:
        """`pairs`, of whole numbers."""
        pairs = self.pairs(name)
        if not all(re.fullmatch(r"-?[0-9]{1,9}", value) for value in pairs.values()):
            raise refusal(name, "What stands behind = must be a whole number.")
        return {key: int(value) for key, value in pairs.items()}


def _refusing(read: Callable[..., Any]) -> Callable[..., Any]:
    def refusing(self: Environment, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return read(self, name, *args, **kwargs)
        except EnvValidationError as error:
            raise refusal(name, " ".join(map(str, error.error_messages))) from None
        except EnvError:
            raise refusal(name, "It is not set.") from None

    return refusing


for kind in ("bool", "dj_db_url", "int", "str"):
    setattr(Environment, kind, _refusing(getattr(Env, kind)))

env = Environment()
env.read_env(str(BASE_DIR / ".env"), recurse=False)

DEBUG = env.bool("DEBUG", default=False)

# As Django compares them with a request's host, which has no port by then. Anything else lets nobody in.
HOST = r"\*|\.?[a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\]"

at_least_one = validate.Range(min=1)
port = validate.Range(1, 65535)
rate = validate.Regexp(
    r"([1-9][0-9]*/(second|minute|hour|day))?\Z",
    error="It must be a number by a time, or empty for no limit.",
)
limit = validate.Range(0, 2**31 - 1)  # the counters' own; 0: none
address = validate.Regexp(
    r"([^\s:/@\[\]]+|\[[0-9a-fA-F:.]+\])\Z", error="It must be a name or an address, an IPv6 one in brackets."
)
below = validate.Regexp(
    r"(/[A-Za-z0-9._~-]+)*\Z", error="It must be a path, with a slash at its beginning and none at its end."
)
server = validate.Regexp(r"([^\s:/@]*|[0-9a-fA-F:.]+)\Z", error="It must be a host, without scheme and port.")

# Where the proxy has the service. gunicorn reads it for itself, and takes it off each request's path.
BELOW = env.str("SCRIPT_NAME", default="", validate=below)
