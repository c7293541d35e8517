"""What gunicorn refuses before anybody knows the address: a problem document (RFC 9457), as everywhere."""

import json
from http import HTTPStatus
from typing import Any

from gunicorn import util

# Whose own words name a limit, and repeat nothing of the request.
LIMITS = {HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE}


def answer(sock: Any, status_int: int, reason: str, mesg: str) -> None:
    """In the place of `gunicorn.util.write_error`, which writes a page and repeats what was sent."""
    status = HTTPStatus(status_int)
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": mesg if status in LIMITS else status.description or "The request could not be understood.",
    }
    body = json.dumps(document)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, f"{head}{body}".encode("ascii"))
