"""The window's inner side: hands claims to a channel, and takes whatever comes back from it."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from . import redirect
from .channels import BaseChannel, Message, SendResult
from .statements import Claim

logger = logging.getLogger("notifications.delivery")


def send(channel: BaseChannel, claims: Sequence[Claim]) -> list[SendResult]:
    """Send them. One result for each, in order; never raises for what a channel does.

    Note [Who really gets it]: this is the one place where an address is replaced, or held back, whatever task,
    thread or sweep brought the notification here.
    """
    rule = redirect.current() if channel.suppressible else redirect.NOBODY_ELSE
    results: dict[str, SendResult] = {}
    messages: list[Message] = []
    for claim in claims:
        to = rule.real(claim.recipient)
        if to is None:
            results[claim.id] = SendResult(sent=False, reason=redirect.NOT_ALLOWED)
        else:
            messages.append(_message(claim, to))
    for message, result in zip(messages, _sent(channel, messages), strict=True):
        # What the other side knows is of the address that was written to, not of the recipient.
        if message.meant_for:
            result = replace(result, sent_to=message.recipient, bounced=False)
        results[message.id] = result
    return [results[claim.id] for claim in claims]


def _message(claim: Claim, to: str) -> Message:
    return Message(
        id=claim.id,
        recipient=to,
        subject=claim.subject,
        body=claim.message,
        created_at=claim.created_at,
        due_at=claim.due_at,
        attempt=claim.attempt,
        html=claim.html,
        category=claim.category,
        meant_for=claim.recipient if to != claim.recipient else "",
    )


def _sent(channel: BaseChannel, messages: Sequence[Message]) -> list[SendResult]:
    if not messages:
        return []
    try:
        results = channel.send(messages)
    except Exception as error:
        # A channel is somebody's code, and one that breaks must not take the others' notifications with it:
        # whatever it raised, these attempts failed, and the traceback goes to the log.
        logger.exception("channel=%s error=%s count=%d", channel.alias, type(error).__name__, len(messages))
        return [SendResult(sent=False, error=f"{type(error).__name__}: {error}")] * len(messages)
    if len(results) != len(messages):
        logger.error("channel=%s messages=%d results=%d", channel.alias, len(messages), len(results))
        return [SendResult(sent=False, error="The channel did not say what became of it.")] * len(messages)
    return results
