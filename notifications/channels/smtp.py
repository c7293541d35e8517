"""One SMTP connection of one mailer, step by step (RFC 5321): each refusal has its code, its text and its phase.

Django's backend opens it (TLS, login); its own `send_messages` would not say how far a message came.
"""

import re
import socket
from contextlib import suppress
from typing import Any

from django.core.mail.backends.smtp import EmailBackend

from ..exceptions import DeliveryError
from .base import SendResult

# RFC 3463: 5.1.1 no such mailbox, 5.1.2 no such domain, 5.1.10 it takes no mail
NO_MAILBOX = re.compile(r"\b5\.1\.(1|2|10)\b")

# 5.1.7 and 5.1.8 are about the sender's address. Postfix and Exim hear the recipient before they refuse a sender or a
# client, and have words for it, but not always a code of its own.
OURS = re.compile(
    r"5\.1\.[78]\b|.*\b(sender (address rejected|verify failed)|helo command rejected"
    r"|client host (\S+ )?(rejected|blocked))",
    re.IGNORECASE | re.DOTALL,
)


class Broken(Exception):
    """The connection cannot be used (any more), and nothing of the message's content was taken."""

    def __init__(self, phase: str, error: object, code: str = "", response: str = "") -> None:
        super().__init__(f"The mail server cannot be reached ({phase}): {error}")
        self.phase, self.code, self.response = phase, code, response


class Session:
    """Opened by its first use. `fresh` until the server has let a message begin: then it is there, and takes mail."""

    def __init__(self, mailer: EmailBackend, data_timeout: float) -> None:
        self.mailer = mailer
        self.data_timeout = data_timeout
        self.fresh = True

    @property
    def smtp(self) -> Any:
        """smtplib's connection; None while there is none."""
        return self.mailer.connection

    def open(self) -> None:
        """Raises Broken, whatever the server said: an answer before the first message is no message's matter."""
        try:
            self.mailer.open()
            # The end of the data is a packet of its own; it need not wait for the ones before.
            self.smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, ValueError) as error:
            # The second: a host or a password that has no form in ASCII, or a login that goes on in no base64.
            code, text = getattr(error, "smtp_code", ""), getattr(error, "smtp_error", b"")
            self.close()
            raise Broken("connect", error, str(code), _text(text)) from error

    def send(self, sender: str, recipient: str, content: bytes) -> SendResult:
        """Send one message. Raises DeliveryError for what the server refused, Broken for what never began."""
        self.open()
        smtp = self.smtp
        self._greet()
        self._step("mail", f"MAIL FROM:<{sender}>")
        self.fresh = False
        self._step("rcpt", f"RCPT TO:<{recipient}>")
        self._step("data", "DATA")
        lines = re.sub(rb"(?m)^\.", b"..", content)  # RFC 5321 4.5.2
        try:
            smtp.send(lines if lines.endswith(b"\r\n") else lines + b"\r\n")
            smtp.send(b".\r\n")
        except OSError as error:
            self.close()  # without its last line the server must not take it
            raise DeliveryError(f"The connection broke: {error}", phase="data") from error
        try:
            smtp.sock.settimeout(self.data_timeout)
            code, text = smtp.getreply()
            smtp.sock.settimeout(self.mailer.timeout)
        except OSError as error:
            self.close()
            raise DeliveryError(
                f"The connection broke before the answer: {error}", unknown=True, phase="data"
            ) from error
        if code // 100 not in (2, 4, 5):  # no answer to that: the next one would not be to what is asked next
            self._hang_up()
            raise DeliveryError(
                f"The mail server's answer is none: {code} {_text(text)}",
                unknown=True,
                code=str(code),
                response=_text(text),
                phase="data",
            )
        if code // 100 != 2:
            raise self._refusal("data", code, text)
        return SendResult(sent=True, code=str(code), response=_text(text), phase="data")

    def close(self) -> None:
        """What was sent is known by now: how the connection ends changes nothing."""
        with suppress(OSError):
            self.mailer.close()
        self.mailer.connection = None

    def _hang_up(self) -> None:
        """Without a QUIT: a server that is closing, or at another step, may never answer it."""
        if self.smtp is not None:
            self.smtp.close()
        self.close()

    def _greet(self) -> None:
        try:
            self.smtp.ehlo_or_helo_if_needed()
        except OSError as error:
            self.close()
            raise Broken("connect", error) from error

    def _step(self, phase: str, command: str) -> None:
        try:
            code, text = self.smtp.docmd(command)
        except OSError as error:
            self.close()
            raise Broken(phase, error) from error
        # The first digit says what it comes to, also of a code that nobody knows (RFC 5321 4.2).
        wanted = 3 if phase == "data" else 2
        if code == 421 or code // 100 not in (wanted, 4, 5):  # closing, or not an answer to this
            self._hang_up()
            raise Broken(phase, _text(text), str(code), _text(text))
        if code // 100 != wanted:
            raise self._refusal(phase, code, text)

    def _refusal(self, phase: str, code: int, text: bytes) -> DeliveryError:
        """Note [Whose matter it is]: 4xx is tried again. 5xx ends a message at its recipient or its content; at the
        sender or this host, whenever it is told, or for want of a login, it is about this service, and somebody will
        set that right."""
        if self.smtp is not None:
            try:
                forgotten = self.smtp.rset()[0] // 100 == 2
            except OSError:
                forgotten = False
            if not forgotten:
                self._hang_up()
        answer = _text(text)
        ours = phase == "mail" or code in (530, 535) or OURS.match(answer)
        permanent = code >= 500 and not ours
        return DeliveryError(
            f"The mail server refused ({phase}): {code} {answer}",
            permanent=permanent,
            code=str(code),
            response=answer,
            phase=phase,
            bounced=permanent and phase == "rcpt" and bool(NO_MAILBOX.match(answer)),
        )


def _text(text: bytes | str) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text
