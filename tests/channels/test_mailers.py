"""Mailers as settings name them: those that are no SMTP, and those with options of their own."""

from threading import Event
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend

from tests.channels.conftest import SMTP
from tests.channels.test_email import message, summary, too_late
from tests.processes import free_port
from tests.smtp_server import serving

pytestmark = pytest.mark.usefixtures("no_lookup")


class Refused(Exception):
    """As a provider's API refuses: with an HTTP status."""

    def __init__(self, status: int) -> None:
        self.status_code = status


class Mailer(BaseEmailBackend):
    """It raises what it is told to, or says how many it sent."""

    def __init__(self, *, says: Exception | int, **options: Any) -> None:
        super().__init__(**options)
        self.says = says

    def send_messages(self, messages: Any) -> int:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def test_any_of_djangos(email: Any, settings: Any) -> None:
    """Any of them will do; a subject is made up where there is none."""
    channel = email(1)
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
    mail.outbox = []
    assert channel.send([message(subject="")])[0].sent
    assert mail.outbox[0].subject == "Notification"


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (1, (True, False, False, "", "send")),
        (0, (False, False, False, "", "send")),
        (Refused(400), (False, True, False, "400", "send")),
        (Refused(422), (False, True, False, "422", "send")),
        (Refused(401), (False, False, False, "401", "send")),
        (Refused(503), (False, False, False, "503", "send")),
        (RuntimeError("half way"), (False, False, True, "", "send")),
        (ConnectionRefusedError(), (False, False, False, "", "connect")),
    ],
    ids=repr,
)
def test_what_it_says(email: Any, settings: Any, says: Exception | int, expected: Any) -> None:
    """Sent, tried again, given up or unknown: only an answer tells that it was not taken."""
    channel = email(1)
    settings.MAILERS = {"default": {"BACKEND": f"{__name__}.Mailer", "OPTIONS": {"says": says}}}
    assert summary(channel.send([message()])[0]) == expected


def test_a_mailer_that_would_fail_silently(email: Any, settings: Any) -> None:
    """It does not: a server that is away is told."""
    channel = email(1)
    options = {"host": "127.0.0.1", "port": free_port(), "fail_silently": True}
    settings.MAILERS = {"default": {"BACKEND": SMTP, "OPTIONS": options}}
    assert summary(channel.send([message()])[0]) == (False, False, False, "", "connect")


@pytest.mark.slow
def test_a_mailers_own_timeout(email: Any, settings: Any) -> None:
    """It goes before the channel's, which waits for 20 s here."""
    channel, gate = email(1), Event()
    with serving(lambda at, argument: too_late(gate) if at == "rcpt" else None) as server:
        options = {"host": "127.0.0.1", "port": server.port, "timeout": 0.05}
        settings.MAILERS = {"default": {"BACKEND": SMTP, "OPTIONS": options}}
        [result] = channel.send([message()])
        gate.set()
    assert (result.sent, result.phase) == (False, "rcpt")


def test_a_login_that_goes_wrong_half_way(email: Any, settings: Any) -> None:
    """What the server asks for is no base64 (RFC 4954): nobody was reached. Those before it are sent, once."""
    said = {"auth": iter(["235 welcome", "334 x"]), "mail": iter(["250 ok", "421 4.7.0 enough"])}

    def answers(at: str, argument: str) -> str | None:
        return "250-here\r\n250 AUTH LOGIN" if at == "ehlo" else next(said.get(at, iter(())), None)

    channel = email(1)
    with serving(answers) as server:
        options = {"host": "127.0.0.1", "port": server.port, "username": "u", "password": "p"}
        settings.MAILERS = {"default": {"BACKEND": SMTP, "OPTIONS": options}}
        results = channel.send([message(), message("bob@example.com")])
    assert [summary(result) for result in results] == [
        (True, False, False, "250", "data"),
        (False, False, False, "", "connect"),
    ]
