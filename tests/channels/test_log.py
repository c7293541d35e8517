"""The log channel: a line for each notification, exactly once, whatever the message says."""

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from email_validator import validate_email
from hypothesis import assume, given
from hypothesis import strategies as st

from notifications.channels import Message, channels
from notifications.channels.address import PLAIN, clean_address
from notifications.channels.log import CONTROL_CHARACTERS, LogChannel


def message(body: str = "hello", recipient: str = "you@example.com") -> Message:
    return Message("id", recipient, "", body, datetime.now(UTC), 1)


def channel(path: Path) -> LogChannel:
    return LogChannel("log", {"OPTIONS": {"path": path}})


def test_the_line(log_file: Path) -> None:
    """The tutorial's line, appended."""
    for body in ("some notification", "another"):
        assert [result.sent for result in channels["log"].send([message(body)])] == [True]
    assert log_file.read_text() == (
        "notification for you@example.com: some notification\nnotification for you@example.com: another\n"
    )


@pytest.mark.parametrize(
    "body",
    ["a\nb", "a\r\nb", "a\0b", "a\x1b[2Jb", "a\u2028b", "a\u0085b", "a\x0bb", "a\x0cb", "a\x1cb"],
)
def test_no_message_can_forge_a_line(log_file: Path, body: str) -> None:
    """Whatever a reader takes for the end of a line is escaped."""
    channels["log"].send([message(body)])
    text = log_file.read_bytes().decode()  # `read_text` would make every line's end the same
    assert text.splitlines() == [text.removesuffix("\n")]
    assert "\x1b" not in text


@pytest.mark.slow
@given(st.lists(st.text(), max_size=20))
def test_as_many_lines_as_messages(bodies: list[str]) -> None:
    """For any texts at all: n messages, n lines."""
    lines = "".join(f"{body}".translate(CONTROL_CHARACTERS) + "\n" for body in bodies)
    assert len(lines.splitlines()) == len(bodies)


def test_a_torn_line_harms_nobody(log_file: Path) -> None:
    """kill -9 may end a write of many lines anywhere: the piece stays a piece, the next line is whole."""
    log_file.write_text("notification for you@exam")
    channels["log"].send([message()])
    assert log_file.read_text().splitlines() == [
        "notification for you@exam",
        "notification for you@example.com: hello",
    ]


@pytest.mark.process
def test_many_processes_write_whole_lines(tmp_path: Path) -> None:
    """One write() in append mode a batch: lines of four processes never mix."""
    path = tmp_path / "log.txt"
    program = (
        "import sys; from datetime import UTC, datetime; from notifications.channels import Message;"
        "from notifications.channels.log import LogChannel;"
        "channel = LogChannel('log', {'OPTIONS': {'path': sys.argv[1]}});"
        "[channel.send([Message('', 'you@example.com', '', sys.argv[2] * 500, datetime.now(UTC), 1)] * 5)"
        " for _ in range(200)]"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, path, letter]) for letter in "abcd"]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    lines = path.read_text().splitlines()
    expected = {f"notification for you@example.com: {letter * 500}" for letter in "abcd"}
    assert len(lines) == 4000
    assert set(lines) == expected


def test_a_file_that_cannot_be_written_is_a_failure_to_retry(tmp_path: Path) -> None:
    """The disk may be back in a minute: not permanent, and the reason is said."""
    results = channel(tmp_path / "no" / "such" / "folder.txt").send([message(), message()])
    assert [(result.sent, result.permanent) for result in results] == [(False, False)] * 2
    assert "No such file" in results[0].error


def test_a_full_disk_leaves_no_torn_line(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fitted is cut off again, so that the retry writes whole lines."""
    channels["log"].send([message("whole")])
    before, write = log_file.read_text(), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:10]))
    (result,) = channels["log"].send([message("torn")])
    assert result.error.endswith(os.strerror(errno.ENOSPC))
    assert log_file.read_text() == before


def test_checks(tmp_path: Path) -> None:
    """Options are checked at start, each with its id."""
    assert channel(tmp_path / "log.txt").check() == []
    assert [error.id for error in LogChannel("log", {}).check()] == ["notifications.E011"]
    for nowhere in (tmp_path / "no" / "log.txt", tmp_path, Path("")):
        assert [error.id for error in channel(nowhere).check()] == ["notifications.E012"]


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """One address in its stored form, or a ValidationError that never repeats it. Cleaning twice is cleaning once."""
    try:
        cleaned = clean_address(text)
    except ValidationError as error:
        assert len(text) < 4 or text not in error.messages[0]
    else:
        assert clean_address(cleaned) == cleaned
        assert cleaned.count("@") == 1
        assert not any(character.isspace() for character in cleaned)


def dotted(alphabet: str) -> st.SearchStrategy[str]:
    return st.lists(st.text(alphabet, min_size=1, max_size=66), min_size=1, max_size=4).map(".".join)


@pytest.mark.slow
@given(dotted("aZ09_+-"), dotted("aZ09"), st.text("abz", min_size=2, max_size=24))
def test_the_short_cut_says_what_the_library_says(local: str, domain: str, top: str) -> None:
    """Whatever the pattern lets pass, the library does, in the same form."""
    address = f"{local}@{domain}.{top}"
    assume(PLAIN.fullmatch(address))
    parts = validate_email(address, check_deliverability=False, globally_deliverable=False, strict=True)
    assert clean_address(address) == f"{parts.local_part}@{parts.ascii_domain.lower()}"


def test_reasons_never_repeat_the_address() -> None:
    """Problem documents and logs take these texts."""
    for address in (
        "secret@localhost",
        "secret..name@example.com",
        "secret@exam_ple.com",
        "se cret@example.com",
    ):
        with pytest.raises(ValidationError) as caught:
            clean_address(address)
        assert "cret" not in str(caught.value.messages)
        assert "exam_ple" not in str(caught.value.messages)


def test_any_settings(settings: Any) -> None:
    """The alias dictionary is read when it is used."""
    settings.CHANNELS = {"copy": settings.CHANNELS["log"]}
    assert list(channels.settings) == ["copy"]
    assert isinstance(channels["copy"], LogChannel)
