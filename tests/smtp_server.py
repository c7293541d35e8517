"""A mail server for tests: it speaks SMTP, keeps what it was given, and breaks where a test says."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

DROP, HANG = "drop", "hang"


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answers: Callable[[str, str], str | None]) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.answers = answers
        self.connections = 0
        self.messages: list[EmailMessage] = []  # those it said it took
        self.seen: list[EmailMessage] = []  # and those it refused, or of which it said nothing
        self.contents: list[bytes] = []  # all of them, as they came
        self.envelopes: list[list[str]] = []
        self.ended = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Conversation(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        self.server.connections += 1
        if not self.say("connect", "", "220 ready"):
            return
        envelope: list[str] = []
        while line := self.rfile.readline().decode().strip():
            verb, argument = line.split(" ", 1)[0].upper(), line.partition(":")[2]
            if verb in ("EHLO", "AUTH"):
                if not self.say(verb.lower(), "", "250 here" if verb == "EHLO" else "235 welcome"):
                    return
            elif verb == "RSET":
                envelope = []
                if not self.say("rset", "", "250 forgotten"):
                    return
            elif verb == "MAIL" and envelope:
                self.wfile.write(b"503 5.5.1 one at a time\r\n")
            elif verb == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            elif verb == "DATA":
                if not self.say("data", "", "354 go on"):
                    return
                if self.server.answers("content", "") == DROP:
                    return  # with most of it unread, so that the client is reset
                lines = iter(self.rfile.readline, b".\r\n")
                content = b"".join(line.removeprefix(b".") for line in lines)
                self.server.contents.append(content)
                message = message_from_bytes(content, policy=policy.default)
                self.server.seen.append(message)
                said = self.say("end", envelope[-1], "250 2.0.0 queued as 7")
                if not said:
                    return
                if said.startswith("2"):
                    self.server.envelopes.append(envelope)
                    self.server.messages.append(message)
                envelope = []
            else:
                envelope = [argument] if verb == "MAIL" else [*envelope, argument]
                if not self.say(verb.lower(), argument, "250 ok"):
                    return

    def say(self, step: str, argument: str, answer: str) -> str:
        """What it said; nothing, if the conversation is over."""
        answer = self.server.answers(step, argument) or answer
        if answer == HANG:
            self.server.ended.wait(30)
        if answer in (DROP, HANG):
            return ""
        self.wfile.write(f"{answer}\r\n".encode())
        return "" if answer.startswith("421") else answer


@contextmanager
def serving(answers: Callable[[str, str], str | None] = lambda step, argument: None) -> Iterator[Any]:
    """A server on a free port. `answers(step, argument)` gives another answer, DROP or HANG; None: as usual."""
    with Server(answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.002})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join(10)
