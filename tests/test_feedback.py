"""What a provider reports, by its own webhook through anymail: hard bounces and complaints, of ours only."""

import runpy
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.core.checks import run_checks
from django.test import Client

from notifications import tasks
from notifications.models import Notification, Suppression
from notifications.senders import senders
from tests.api.conftest import problem
from tests.processes import ROOT, free_port, wait_until
from tests.smtp_server import serving

installed = pytest.mark.skipif(
    find_spec("anymail") is None,
    reason="anymail is not installed: pip install -r requirements-anymail.txt",
)
POSTMARK, SES = "/anymail/postmark/tracking/", "/anymail/amazon_ses/tracking/"
BASIC = "Basic cHJvdmlkZXI6c2VjcmV0"  # provider:secret
Accept = Callable[..., Notification]


@pytest.fixture
def provider(settings: Any) -> Callable[..., None]:
    """The e-mail channel over anymail's mailers, by name and options; the next one is for when one is away."""

    def make(**mailers: dict[str, Any]) -> None:
        smtp = "django.core.mail.backends.smtp.EmailBackend"
        settings.MAILERS = {
            name: {
                "BACKEND": smtp if name == "smtp" else f"anymail.backends.{name}.EmailBackend",
                "OPTIONS": options,
            }
            for name, options in mailers.items()
        }
        email = {
            "BACKEND": "notifications.channels.email.EmailChannel",
            "OPTIONS": {"mailers": list(mailers)},
        }
        settings.CHANNELS = {**settings.CHANNELS, "email": email}

    return make


def report(event: dict[str, Any], path: str = POSTMARK, **headers: str) -> Any:
    return Client().post(path, event, "application/json", headers={"Authorization": BASIC} | headers)


def bounce(row: Any, kind: str = "HardBounce", **more: Any) -> dict[str, Any]:
    """As Postmark reports it."""
    return {
        "RecordType": "Bounce",
        "Type": kind,
        "ID": 42,
        "MessageID": str(uuid4()),
        "Email": "you@example.com",
        "Details": "smtp;550 no",
        "BouncedAt": "2026-11-24T12:00:00Z",
        "Subject": "HardBounce",
        "Metadata": {"notification": str(row.pk)},
        **more,
    }


def deliver(row: Notification) -> Notification:
    tasks.deliver_slowly.call([str(row.pk)])
    wait_until(lambda: senders().free == senders().limit)
    row.refresh_from_db()
    return row


def listed() -> list[tuple[str, str, Any]]:
    return list(Suppression.objects.values_list("address", "reason", "notification"))


@installed
@pytest.mark.django_db
class TestTheWebhook:
    """A real POST to anymail's own view, as the provider makes it."""

    @pytest.mark.parametrize(
        ("event", "reason"),
        [
            ({"kind": "HardBounce"}, "bounce"),
            ({"kind": "BadEmailAddress"}, "bounce"),
            ({"kind": "Unknown", "RecordType": "SpamComplaint", "Type": "SpamComplaint"}, "complaint"),
            ({"kind": "SoftBounce", "Details": "smtp;550 5.1.1 no such user"}, "bounce"),
        ],
    )
    def test_is_listed(self, accepted: Accept, event: dict[str, Any], reason: str) -> None:
        """A hard bounce by the provider's word or the server's code, and a complaint: once, with its notification."""
        row = accepted(recipient="You@example.com")
        for _ in range(2):
            assert report(bounce(row, **event)).status_code == 200
        assert listed() == [("you@example.com", reason, row.pk)]

    @pytest.mark.parametrize("kind", ["SoftBounce", "Transient", "DnsError", "Blocked", "AutoResponder"])
    def test_is_not_listed(self, accepted: Accept, kind: str) -> None:
        """A full mailbox, a delay, a policy: the next one may well arrive."""
        assert report(bounce(accepted(), kind)).status_code == 200
        assert listed() == []

    def test_of_another_provider(self, accepted: Accept, settings: Any) -> None:
        """Mailjet says "hard_bounce", and has the metadata as text."""
        row = accepted()
        event = {
            "event": "bounce",
            "email": "you@example.com",
            "hard_bounce": False,
            "error": "quota exceeded",
            "Payload": f'{{"notification": "{row.pk}"}}',
        }
        path = "/anymail/mailjet/tracking/"
        assert report(event, path).status_code == 200
        assert listed() == []
        assert report(event | {"hard_bounce": True, "error": "user unknown"}, path).status_code == 200
        assert listed() == [("you@example.com", "bounce", row.pk)]

    def test_by_our_message_id(self, accepted: Accept) -> None:
        """A provider that sends no metadata back, but reports the message's own id."""
        row = accepted()
        report(bounce(row, Metadata={}, MessageID=f"<{row.pk}@example.org>"))
        assert listed() == [("you@example.com", "bounce", row.pk)]

    @pytest.mark.parametrize("change", [{}, {"notification": "7"}, {"notification": 7}], ids=str)
    def test_not_ours(self, accepted: Accept, change: dict[str, Any]) -> None:
        """The provider's account has other users."""
        assert report(bounce(accepted(), Metadata=change)).status_code == 200
        assert listed() == []

    def test_somebody_else_got_it(self, accepted: Accept) -> None:
        """On a copy of the service the mail was redirected: neither address is to blame."""
        report(bounce(accepted(recipient="ann@example.com")))
        report(bounce(accepted(), Email="nobody"))
        assert listed() == []

    def test_of_one_that_was_deleted(self, accepted: Accept) -> None:
        """A complaint may come when the notification is gone."""
        row = accepted()
        event = bounce(row)
        Notification.objects.all().delete()
        report(event)
        assert listed() == [("you@example.com", "bounce", row.pk)]

    @pytest.mark.parametrize("header", ["", "Basic cHJvdmlkZXI6d3Jvbmc="])
    def test_without_the_secret(self, accepted: Accept, header: str) -> None:
        """400, and nothing is listed: anybody could silence anybody."""
        problem(report(bounce(accepted()), Authorization=header), 400)
        assert listed() == []


@pytest.mark.slow
@installed
@pytest.mark.django_db(transaction=True)
def test_from_the_channel_to_the_list(provider: Any, accepted: Accept) -> None:
    """What goes out carries the id that comes back, and the attempt the provider's; the next one is not sent."""
    provider(test={})
    mail.outbox = []
    first, second = accepted(channel="email"), accepted(channel="email")
    deliver(first)
    assert (first.status, first.attempts.get().response) == ("sent", "0")
    [sent] = mail.outbox
    assert report(bounce(first, Metadata=sent.anymail_test_params["metadata"])).status_code == 200
    deliver(second)
    assert (second.status, second.reason) == ("cancelled", "suppressed: bounce")


@pytest.mark.slow
@installed
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_lookup")
def test_a_provider_that_is_away(provider: Any, accepted: Accept) -> None:
    """Nobody was reached, so nothing can have arrived: the next mailer takes it."""
    with serving() as server:
        away = {"server_token": "x", "api_url": f"http://127.0.0.1:{free_port()}/"}
        provider(postmark=away, smtp={"host": "127.0.0.1", "port": server.port})
        row = deliver(accepted(channel="email"))
    assert (row.status, len(server.messages)) == ("sent", 1)


@pytest.mark.slow
@installed
@pytest.mark.django_db(transaction=True)
def test_what_a_provider_cannot_do(provider: Any, accepted: Accept) -> None:
    """Anymail refuses it before anything goes out: given up, not unknown. Postal, for one, has no metadata."""
    options = {"api_key": "x", "api_url": "http://127.0.0.1:1/"}
    provider(postal=options)
    row = deliver(accepted(channel="email"))
    assert (row.status, row.attempts.get().phase) == ("failed", "send")
    assert "metadata" in row.attempts.get().error


@installed
def test_the_address_is_closed_without_a_secret(settings: Any) -> None:
    """It is not there: nobody could tell a provider from anybody else."""

    def routes() -> list[str]:
        patterns = runpy.run_path(str(ROOT / "project" / "urls.py"))["urlpatterns"]
        return [str(pattern.pattern) for pattern in patterns]

    assert "anymail/" in routes()
    settings.ANYMAIL_WEBHOOK_SECRET = []
    assert "anymail/" not in routes()


@installed
def test_what_is_wrong_is_said(provider: Any, settings: Any) -> None:
    """At start: a provider that nobody hears, a secret that is none, options that are missing."""

    def found() -> list[str]:
        return [message.id for message in run_checks(tags=["notifications"])]

    provider(test={})
    assert found() == []
    settings.ANYMAIL_WEBHOOK_SECRET = []
    assert found() == ["notifications.W024"]
    settings.ANYMAIL_WEBHOOK_SECRET = ["secret"]
    assert found() == ["notifications.E023"]
    settings.ANYMAIL_WEBHOOK_SECRET = ["a:b"]
    provider(postmark={})
    assert found() == ["notifications.E021"]


def test_without_anymail(settings: Any) -> None:
    """A secret alone opens nothing, and is said."""
    settings.ANYMAIL_WEBHOOK_SECRET = ["a:b"]
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "anymail"]
    assert [message.id for message in run_checks(tags=["notifications"])] == ["notifications.E022"]
