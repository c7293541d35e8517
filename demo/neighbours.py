"""Who the demonstration writes to: a mail server and a receiver of webhooks on loopback, the same as the tests'."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests import smtp_server
from tests.channels import receiver


@contextmanager
def mail_server() -> Iterator[Any]:
    """Knows nobody whose address begins with `gone`, and is busy at the first try for one that begins with `busy`."""
    asked: set[str] = set()

    def answers(step: str, argument: str) -> str | None:
        if step != "rcpt":
            return None
        if argument.startswith("<gone"):
            return "550 5.1.1 no such mailbox"
        if argument.startswith("<busy") and argument not in asked:
            asked.add(argument)
            return "451 4.7.1 greylisted, come back later"
        return None

    with smtp_server.serving(answers) as server:
        yield server


@contextmanager
def webhook_receiver() -> Iterator[receiver.Receiver]:
    """`billing` takes everything, `busy` at the second try, `moved` nothing; `silent` hangs up without an answer."""
    asked: set[str] = set()

    def behaviour(handler: receiver.Handler) -> None:
        id = handler.headers["webhook-id"]
        if handler.path == "/busy" and id not in asked:
            asked.add(id)
            handler.answer(503, b"come back later")
        elif handler.path == "/moved":
            handler.answer(410, b"this endpoint is gone")
        elif handler.path != "/silent":
            handler.answer(204)

    with receiver.receiving() as server:
        server.behaviour = behaviour
        yield server


def unsubscribe_addresses(mail: Any) -> list[str]:
    """Where the buttons "unsubscribe" of the mails that came in lead to."""
    return [
        address
        for message in list(mail.messages)
        for address in re.findall(r"<(http[^>]+)>", message.get("List-Unsubscribe", ""))
    ]
