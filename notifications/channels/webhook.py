"""The webhook channel: a signed POST by Standard Webhooks 1.0 (https://www.standardwebhooks.com).

CHANNELS = {"webhook": {
    "BACKEND": "notifications.channels.webhook.WebhookChannel",
    "OPTIONS": {"endpoints": {"billing": {"url": "https://example.com/hook", "secrets": ["whsec_…"]}}},
}}
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ValidationError
from standardwebhooks import Webhook

from ..exceptions import DeliveryError
from . import webhook_options as options
from .base import BaseChannel, Message, SendResult
from .guard import NOT_PUBLIC
from .outbound import Answer, post
from .url import URLParts, parse_url

# Answers that the same request may get rid of in a while: a deploy, a rotated secret, a limit, a lock. Any other 4xx
# is about the request itself, which stays as it is.
TRANSIENT = {401, 403, 404, 408, 409, 421, 423, 425, 429}
MOVED = {301, 308}  # for good, says RFC 9110; followed is no redirect at all
MAX_RETRY_AFTER = timedelta(hours=1)


class WebhookChannel(BaseChannel):
    """The recipient is the name of an endpoint in the options, or an https URL if there are `secrets` for such.

    The webhook-id is the notification's id and so the same on every attempt: a receiver that keeps the ids it has
    seen gets each notification once, although an attempt of which nobody knows whether it arrived is repeated.
    """

    concurrent = True

    def clean_recipient(self, recipient: str) -> str:
        """The endpoint's name, or the URL in the one form that is stored. Nothing is looked up in the DNS."""
        if recipient in self.options.get("endpoints", {}):
            return recipient
        if not self.options.get("secrets"):
            raise ValidationError("There is no such endpoint.", code="unknown")
        if "://" not in recipient:
            raise ValidationError("This is neither an endpoint's name nor an https URL.", code="invalid")
        url = self._checked(parse_url(recipient))
        if url.port not in self.options.get("ports", [443, 80] if self.options.get("http") else [443]):
            raise ValidationError("The URL's port is not allowed.", code="port")
        return str(url)

    def send(self, messages: Sequence[Message]) -> list[SendResult]:
        return [self._result(message) for message in messages]

    def check(self) -> list[CheckMessage]:
        return [
            Error(f"CHANNELS[{self.alias!r}]: {problem}", hint=hint, id=f"notifications.{id}")
            for id, problem, hint in self._problems()
        ]

    def _problems(self) -> Iterator[options.Problem]:
        yield from options.problems(self.options)
        for name, endpoint in options.endpoints(self.options).items():
            try:
                self._checked(parse_url(str(endpoint.get("url", ""))))
            except ValidationError as error:
                hint = (
                    "Set an https URL; http, or an address that is not public, must be allowed by an option."
                )
                yield "E033", f"the endpoint {name!r} has no usable 'url': {error.messages[0]}", hint
            except (TypeError, ValueError):
                return  # `allow` is wrong, and has been reported

    def _checked(self, url: URLParts) -> URLParts:
        if url.scheme != "https" and not self.options.get("http"):
            raise ValidationError("The URL must begin with https.", code="scheme")
        if options.guard(self.options).refuses_literal(url.host):
            raise ValidationError(NOT_PUBLIC, code="not_public")
        return url

    def _result(self, message: Message) -> SendResult:
        try:
            url, secrets = self._destination(message.recipient)
            body = _body(message, self.options.get("type", "notification"))
            answer = post(
                url,
                body.encode(),
                _headers(message.id, body, secrets),
                guard=options.guard(self.options),
                limits=options.limits(self.options),
                ca_file=str(self.options.get("ca_file", "")),
            )
            if not 200 <= answer.status < 300:
                raise _refusal(answer)
        except DeliveryError as error:
            return SendResult.of(error)
        return SendResult(sent=True, code=str(answer.status), response=answer.text, phase="response")

    def _destination(self, recipient: str) -> tuple[URLParts, list[str]]:
        """What the settings say now: they may have changed since it was accepted."""
        endpoint = self.options.get("endpoints", {}).get(recipient)
        if endpoint is None and "://" not in recipient:
            # Not permanent: in a rolling deploy another worker may know the endpoint already.
            raise DeliveryError("This version of the service does not know the endpoint.", phase="address")
        try:
            if endpoint is not None:
                return self._checked(parse_url(endpoint["url"])), endpoint["secrets"]
            return parse_url(self.clean_recipient(recipient)), self.options["secrets"]
        except ValidationError as error:
            raise DeliveryError(error.messages[0], permanent=True, phase="address") from error


def _body(message: Message, event: str) -> str:
    """The same on every attempt, byte for byte."""
    data = {
        "id": message.id,
        "subject": message.subject,
        "message": message.body,
        "html": message.html,
        "category": message.category,
    }
    body = {"type": event, "timestamp": message.created_at.astimezone(UTC).isoformat(), "data": data}
    return json.dumps(body, separators=(",", ":"))  # ASCII: a lone surrogate, too, has a form


def _headers(id: str, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """A signature for each secret: while one is rotated, a receiver accepts what either of them signed."""
    now = datetime.now(UTC)
    return {
        "Content-Type": "application/json",
        "User-Agent": "notification-service",
        "webhook-id": id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(id, now, body) for secret in secrets),
    }


def _refusal(answer: Answer) -> DeliveryError:
    status = answer.status
    return DeliveryError(
        f"The receiver answered {status}." + (" Redirects are not followed." if status // 100 == 3 else ""),
        permanent=status in MOVED or (400 <= status < 500 and status not in TRANSIENT),
        retry_after=_retry_after(answer.headers),
        code=str(status),
        response=answer.text,
        phase="response",
    )


def _retry_after(headers: Mapping[str, Any]) -> timedelta | None:
    """Seconds or a date (RFC 9110, 10.2.3), at most an hour. What is neither, or past, says nothing."""
    value = headers.get("retry-after", "").strip()
    try:
        if re.fullmatch(r"[0-9]{1,13}", value):  # what a timedelta can hold
            wish = timedelta(seconds=int(value))
        else:
            date = parsedate_to_datetime(value)
            wish = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return min(wish, MAX_RETRY_AFTER) if wish > timedelta(0) else None
