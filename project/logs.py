"""How the service's processes log: one dictionary for Django, gunicorn and django-q2, and the two forms of a line.

A line carries ids and never an address or a text, whoever wrote it. Both forms put the same fields there:
`json` is one object a line, for machines; `line` is for people. Everything goes to standard error.
"""

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from environs import validate

from project.environment import DEBUG, env

LOG_LEVEL = env.str(
    "LOG_LEVEL",
    default="INFO",
    validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
)
LOG_FORMAT = env.str(
    "LOG_FORMAT",
    default="line" if DEBUG else "json",
    validate=validate.OneOf(["json", "line"]),
)

# `key=%s` in the text of a call, whose argument is the field's value, or `key=word`.
PAIR = re.compile(r"(?:\b([a-z_]+)=)?%(?:%|[-#0 +]*\d*(?:\.\d+)?[a-zA-Z])|\b([a-z_]+)=([\w.-]+)")
# What a record has anyway; anything else was given as `extra`.
ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime",
    "message",
    "request",
    "request_id",
    "notification",
    "server_time",
    "status_code",
}
# An address, also as it stands in a URL. The path of `/send-notification/{recipient}` goes whatever it holds.
ADDRESS = re.compile(r"[^\s\"'<>(){}\[\],;:=/?&\\]+(?:@|%40)[^\s\"'<>(){}\[\],;:/?&\\]+")
RECIPIENT = re.compile(r"(/send-notification/)[^\s\"'<>,]+")
# PostgreSQL quotes the row that it refuses: `DETAIL:  Failing row contains (…)`.
DETAIL = re.compile(r"^DETAIL: .*$\n?", re.MULTILINE)


def masked(text: str) -> str:
    """The text without addresses, and without the rows that a database quotes in its errors."""
    if "@" in text or "%40" in text:
        text = ADDRESS.sub("…", text)
    if "/send-notification/" in text:
        text = RECIPIENT.sub(r"\1…", text)
    return DETAIL.sub("", text) if "DETAIL: " in text else text


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the record says in pairs: from the call's `key=%s` with its arguments, and from `extra`."""
    found: dict[str, Any] = dict(_pairs(record))
    for name, value in vars(record).items():
        if name not in ORDINARY and isinstance(value, str | int | float | list | tuple):
            found[name] = value
    return {name: value if isinstance(value, int | float | list | tuple) else masked(str(value))
            for name, value in found.items()}  # fmt: skip


def _pairs(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    arguments = iter(record.args if isinstance(record.args, tuple) else ())
    for name, word in _keys(str(record.msg)):
        if word:
            yield name, word
        else:
            value = next(arguments, None)
            if name:
                yield name, value


# Bounded: some texts are new each time, and a stranger's words (Django logs the Host that it refuses).
@lru_cache(maxsize=1024)
def _keys(text: str) -> tuple[tuple[str, str], ...]:
    found = PAIR.finditer(text)
    return tuple((pair[1] or pair[2] or "", pair[3] or "") for pair in found if pair[0] != "%%")


class LineFormatter(logging.Formatter):
    """For people: time, level, logger, request, message. What was given as `extra` stands at the end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        line = super().formatMessage(record)
        said = _said(record)
        extra = " ".join(f"{name}={_plain(said[name])}" for name in said if f"{name}=" not in record.message)
        return f"{line} {extra}" if extra else line

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


class JSONFormatter(logging.Formatter):
    """For machines: one object a line, a traceback in the field `exception`.

    `time` (RFC 3339, UTC), `level`, `logger`, `process`, `message`, `request_id` and `notification` where there is
    one, then the record's own fields. A field that has the name of one of the first five is left in the message.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": masked(record.getMessage()),
        }
        request_id = getattr(record, "request_id", "-")
        if request_id != "-":
            line["request_id"] = request_id
        line = {**_said(record), **line}
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = masked(record.exc_text)
        if record.stack_info:
            line["stack"] = masked(record.stack_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _said(record: logging.LogRecord) -> dict[str, Any]:
    notification = getattr(record, "notification", "")
    return ({"notification": notification} if notification else {}) | fields(record)


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "project.logs.JSONFormatter"},
        "line": {"()": "project.logs.LineFormatter"},
    },
    "filters": {
        "ids": {"()": "notifications.request_id.IdsFilter"},
        "route": {"()": "notifications.request_id.RouteFilter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["ids", "route"],
        },
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Django, gunicorn and django-q2 would bring handlers of their own.
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        "gunicorn.error": {"handlers": [], "propagate": True, "level": LOG_LEVEL},
        "gunicorn.access": {"handlers": [], "propagate": True, "level": "INFO"},
        "django-q": {"level": LOG_LEVEL},
        # Two lines for each task, and no notification's id in them: `notifications` says it better.
        "django.tasks": {"level": "DEBUG" if LOG_LEVEL == "DEBUG" else "WARNING"},
    },
}
