"""The apprise channel: services from settings by their names, and an honest no."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from notifications.channels import Message, SendResult
from notifications.channels.apprise import AppriseChannel

from .receiver import Receiver


def channel(**urls: str) -> AppriseChannel:
    return AppriseChannel("apprise", {"OPTIONS": {"urls": urls}})


def send(receiver: Receiver) -> SendResult:
    (result,) = channel(ops=receiver.url(scheme="json")).send(
        [Message("id", "ops", "Subject", "hello", datetime.now(UTC), 1)]
    )
    return result


@pytest.mark.slow
def test_it_sends(receiver: Receiver) -> None:
    """By Apprise's JSON service, to a real server."""
    receiver.behaviour = lambda handler: handler.answer(200)
    assert send(receiver).sent
    payload: dict[str, Any] = json.loads(receiver.posts[0][1])
    assert (payload["title"], payload["message"]) == ("Subject", "hello")


@pytest.mark.slow
def test_it_does_not(receiver: Receiver) -> None:
    """Apprise says no more than no: tried again."""
    receiver.behaviour = lambda handler: handler.answer(500)
    result = send(receiver)
    assert (result.sent, result.permanent, result.unknown, result.phase) == (False, False, False, "send")


def test_only_names(receiver: Receiver) -> None:
    """A request never names a service's URL."""
    assert channel(ops="json://localhost").clean_recipient("ops") == "ops"
    with pytest.raises(ValidationError) as caught:
        channel(ops="json://localhost").clean_recipient("json://secret")
    assert "secret" not in str(caught.value.messages)


@pytest.mark.slow
def test_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library, no service, and what is no service's URL; none is repeated."""
    assert channel(ops="json://localhost").check() == []
    assert [error.id for error in channel().check()] == ["notifications.E042"]
    (error,) = channel(ops="secret://x").check()
    assert (error.id, "secret" in error.msg) == ("notifications.E042", False)
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert [error.id for error in channel(ops="json://localhost").check()] == ["notifications.E041"]
