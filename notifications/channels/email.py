"""The e-mail channel, over Django's MAILERS: any alias is a provider, a list of them is a failover."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from email.errors import MessageError
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from time import monotonic
from typing import Any, Self

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail import EmailMultiAlternatives, mailers
from django.core.mail.backends.smtp import EmailBackend
from django.utils.encoding import punycode

from .. import unsubscribe
from ..exceptions import DeliveryError
from ..shapes import NUMBER, TEXT, TEXTS, misshapen
from . import mailer
from .address import clean_address, is_sender
from .base import BaseChannel, Message, SendResult
from .smtp import Broken, Session


class ASCII(EmailPolicy):
    """Only ASCII goes out: other bytes need a server that offers 8BITMIME, and a MAIL that says so (RFC 6152). What is
    encoded for it, a text or a header, has lines of at most 76 characters (RFC 2045 and 2047)."""

    def fold_binary(self, name: str, value: str) -> bytes:
        # RFC 5322 allows lines of 998 characters. Folded at 76, a long link would become an encoded word, and no link.
        policy = self.clone(max_line_length=998) if value.isascii() else self
        return super(ASCII, policy).fold_binary(name, value)


FOLDED = ASCII(max_line_length=76)
POLICY = FOLDED.clone(linesep="\r\n", cte_type="7bit")


class Mail(EmailMultiAlternatives):
    """A mailer that writes it out itself (Amazon's, the console) folds it as we do, or the link would be none."""

    def message(self, *, policy: Any = FOLDED) -> Any:
        return super().message(policy=policy)


METADATA = "notification"  # the name under which a provider is told the notification's id

SHAPES = dict.fromkeys([("from_email",), ("domain",), ("subject",)], TEXT)
SHAPES |= {("mailers",): TEXTS, ("timeout",): NUMBER, ("data_timeout",): NUMBER}

BUDGET = 120  # seconds: what of a batch has not begun by then is tried later, on its own


@dataclass(frozen=True, slots=True)
class Options:
    mailers: Sequence[str] = ("default",)  # aliases of MAILERS, the next one for when the one before is away
    from_email: str = ""  # none: DEFAULT_FROM_EMAIL
    domain: str = ""  # of Message-ID; none: that of the sender
    subject: str = "Notification"  # of one that has none
    timeout: float = 10  # seconds of each step, for a mailer that has none of its own
    data_timeout: float = 60  # seconds for the answer to the whole message

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> Self:
        """Raises ValueError naming what is unknown, or makes no sense."""
        known = {field.name for field in fields(cls)}
        if unknown := options.keys() - known:
            raise ValueError(f"unknown option {sorted(unknown)[0]!r}; known are {', '.join(sorted(known))}")
        made = cls(**{"from_email": settings.DEFAULT_FROM_EMAIL} | options)
        if problem := next(misshapen(made, SHAPES), ""):
            raise ValueError(problem.rstrip("."))
        if not made.mailers:
            raise ValueError("mailers must be a list of aliases of MAILERS")
        if not is_sender(made.from_email) or "@" not in made.sender or not made.sender.isascii():
            raise ValueError(
                "from_email (DEFAULT_FROM_EMAIL, without it) must be one address, with its name if you like, "
                "and with nothing but ASCII before the @"
            )
        if not (made.timeout > 0 and made.data_timeout > 0):  # a NaN is not
            raise ValueError("timeout and data_timeout must be greater than 0")
        return made

    @property
    def sender(self) -> str:
        """The address alone, its domain in IDNA form. Raises ValueError where there is no such form."""
        local, at, domain = parseaddr(self.from_email)[1].rpartition("@")
        return f"{local}{at}{punycode(domain)}"


class EmailChannel(BaseChannel):
    """One message to one recipient, on as few connections as there can be.

    `Message-ID` is the notification's id and `Date` the time it was accepted, or scheduled for: a message that is
    sent twice is the same message. Answers and phases are kept on the attempt; see `smtp` for what is tried again.
    """

    concurrent = True
    batch = True
    suppressible = True
    _desks = threading.local()

    def clean_recipient(self, recipient: str) -> str:
        address = clean_address(recipient)
        if not address.isascii():
            raise ValidationError("The part before the @ must be ASCII.", code="invalid")
        return address

    def send(self, messages: Sequence[Message]) -> list[SendResult]:
        options = Options.from_dict(self.options)
        # All are written before the first one goes out: whatever breaks here has sent nothing.
        mails = [self._compose(message, options) for message in messages]
        with self.together():
            desk = self._desks.open[self.alias]
            desk.begin()
            return [mail if isinstance(mail, SendResult) else desk.send(*mail) for mail in mails]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Keep the connection: of one thread, for a server's conversation is one."""
        open = self._desks.__dict__.setdefault("open", {})
        if self.alias in open:
            yield
            return
        desk = open[self.alias] = Desk(Options.from_dict(self.options))
        try:
            yield
        finally:
            del open[self.alias]
            desk.close()

    def check(self) -> list[CheckMessage]:
        where = f"CHANNELS[{self.alias!r}]['OPTIONS']"
        try:
            options = Options.from_dict(self.options)
        except (TypeError, ValueError) as error:
            return [
                Error(f"{where}: {error}.", hint="See docs/channels.md, E-mail.", id="notifications.E020")
            ]
        found: list[CheckMessage] = []
        for alias in options.mailers:
            try:
                mailers[alias]
            except ImproperlyConfigured as error:
                found.append(
                    Error(
                        f"{where}: {error}",
                        hint="Name aliases of MAILERS; EMAIL_PROVIDER with its options makes one.",
                        id="notifications.E021",
                    )
                )
        return found

    def _compose(
        self, message: Message, options: Options
    ) -> tuple[EmailMultiAlternatives, bytes] | SendResult:
        """The mail, and what of it goes over SMTP; or why it cannot be one."""
        headers = {
            "Message-ID": f"<{message.id}@{options.domain or options.sender.rpartition('@')[2]}>",
            # On every attempt. One that waited for its time would be sorted by that of the order, weeks back.
            "Date": format_datetime(message.due_at or message.created_at),
            "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers, please
        }
        if message.meant_for:
            headers["X-Meant-For"] = message.meant_for
        recipient = message.meant_for or message.recipient
        headers |= unsubscribe.headers(unsubscribe.Scope(recipient, message.category, message.id))
        try:
            mail = Mail(
                subject=message.subject or options.subject,
                body=message.body,
                from_email=options.from_email,
                to=[self.clean_recipient(message.recipient)],
                headers=headers,
            )
            # Anymail's: it comes back with what the provider reports.
            mail.metadata = {METADATA: message.id}  # type: ignore[attr-defined]
            if message.html:
                mail.attach_alternative(message.html, "text/html")
            content = mail.message(policy=POLICY).as_bytes()
        except (ValidationError, ValueError, LookupError, MessageError) as error:
            reason = error.messages[0] if isinstance(error, ValidationError) else str(error)
            return SendResult(
                sent=False, error=f"It cannot be an e-mail: {reason}", permanent=True, phase="compose"
            )
        return mail, content


class Desk:
    """The mailers of one thread, batch after batch. One that could not be reached is not asked again in a batch."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.current: Any = None  # a Session, or a mailer that is no SMTP
        self.begin()

    def begin(self) -> None:
        """A new batch: a new chance for each mailer, unless there is a connection."""
        self.deadline = monotonic() + BUDGET
        if self.current is None:
            self.aliases = list(self.options.mailers)

    def send(self, mail: EmailMultiAlternatives, content: bytes) -> SendResult:
        broken: Broken | None = None
        while self.aliases:
            if monotonic() > self.deadline:
                return SendResult(
                    sent=False, error="The mail server took too long for others.", phase="connect"
                )
            self.current = self.current or self._open(self.aliases[0])
            used = isinstance(self.current, Session) and not self.current.fresh
            try:
                return self._over(mail, content)
            except DeliveryError as error:
                return SendResult.of(error)
            except Broken as error:
                # A server may end a connection after so many messages: only a new one says that it is away.
                broken = error
                self.close()
                if not used:
                    self.aliases.pop(0)
        if broken is None:
            return SendResult(sent=False, error="No mail server can be reached.", phase="connect")
        return SendResult(
            sent=False, error=str(broken), code=broken.code, response=broken.response, phase=broken.phase
        )

    def close(self) -> None:
        if self.current is not None:
            with suppress(OSError):
                self.current.close()
            self.current = None

    def _open(self, alias: str) -> Any:
        backend = mailers[alias]
        if isinstance(backend, EmailBackend):
            backend.fail_silently = False
            if backend.timeout is None:
                backend.timeout = self.options.timeout
            return Session(backend, self.options.data_timeout)
        return backend

    def _over(self, mail: EmailMultiAlternatives, content: bytes) -> SendResult:
        if isinstance(self.current, Session):
            return self.current.send(self.options.sender, mail.to[0], content)
        return mailer.send(self.current, mail)
