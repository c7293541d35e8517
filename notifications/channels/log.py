"""The log channel: one line of a file for each notification. It needs no other server, so it is the default."""

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from django.core.checks import CheckMessage, Error

from ..exceptions import DeliveryError
from ..shapes import PATH
from .address import clean_address
from .base import SENT, BaseChannel, Message, SendResult

# Everything that some reader of the file could take for the end of a line, or that a terminal would obey. None of it is
# `str.isprintable`, which is much quicker to ask than a text is to translate.
CONTROL_CHARACTERS = {
    code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}


class LogChannel(BaseChannel):
    """Append `notification for {recipient}: {message}` to the file named by the option `path`.

    All lines of a batch are one `write()` in append mode, which the kernel does not interleave with another
    process's. Control characters are escaped, so that no message can forge a second line. What a writer that was
    killed in the middle left behind is a line of its own, and no part of the next one.
    """

    @property
    def path(self) -> Path:
        return Path(self.options["path"])

    def clean_recipient(self, recipient: str) -> str:
        return clean_address(recipient)

    def send(self, messages: Sequence[Message]) -> list[SendResult]:
        lines = "".join(f"{_one_line(message)}\n" for message in messages).encode(errors="backslashreplace")
        try:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                self._write(file, lines)
            finally:
                os.close(file)
        except OSError as error:
            failed = SendResult.of(DeliveryError(f"Could not write the log file: {error.strerror}"))
            return [failed] * len(messages)
        return [SENT] * len(messages)

    def check(self) -> list[CheckMessage]:
        if not PATH[0](self.options.get("path")):
            return [
                Error(
                    f"CHANNELS[{self.alias!r}] has no file to write to.",
                    hint="Set OPTIONS['path'] to the path of one.",
                    id="notifications.E011",
                )
            ]
        place = self.path if self.path.exists() else self.path.parent
        if self.path.is_dir() or not os.access(place, os.W_OK):
            return [
                Error(
                    f"CHANNELS[{self.alias!r}] cannot write to {self.path}.",
                    hint="Make the folder, or choose another file with NOTIFICATIONS_LOG_FILE.",
                    id="notifications.E012",
                )
            ]
        return []

    def _write(self, file: int, lines: bytes) -> None:
        # The lock is for the disk that fills up in the middle of a batch: only then the torn piece is cut off
        # again, and nobody else may have written behind it.
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file).st_size  # 0 for what is no file: a pipe, a terminal
        if size and os.pread(file, 1, size - 1) != b"\n":
            lines = b"\n" + lines  # kill -9 ends a write between two pages
        written = os.write(file, lines)
        if written != len(lines):
            os.ftruncate(file, os.fstat(file).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _one_line(message: Message) -> str:
    text = f"notification for {message.recipient}: {message.body}"
    return text if text.isprintable() else text.translate(CONTROL_CHARACTERS)
