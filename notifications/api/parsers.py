"""How bodies are read: REST framework's parsers, less what they let pass or fall over."""

from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from rest_framework import parsers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import get_encoding  # type: ignore[attr-defined]  # the stubs are older
from rest_framework.utils import json

__all__ = ["FormParser", "JSONParser", "MultiPartParser", "check_escapes", "get_encoding", "parse_json"]


def parse_json(text: str) -> Any:
    """Raises ValueError for what is no JSON (NaN is none), and for what is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_escapes(text: bytes | str, encoding: str) -> None:
    """Raises ParseError where what is percent-encoded is no text: Django would put U+FFFD in its place."""
    try:
        unquote_to_bytes(text).decode(encoding)
    except UnicodeDecodeError as error:
        raise ParseError(f"What is percent-encoded is not {encoding}.") from error


class JSONParser(parsers.JSONParser):
    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        encoding = get_encoding(parser_context or {})
        try:
            return parse_json(stream.read().decode(encoding))
        except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both
            raise ParseError(f"JSON parse error - {error}") from error


class FormParser(parsers.FormParser):
    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        body = stream.read()
        check_escapes(body, get_encoding(parser_context or {}))
        return super().parse(BytesIO(body), media_type, parser_context)


class MultiPartParser(parsers.MultiPartParser):
    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Raises ParseError for a body without its end, or with nothing in it that is a part: Django would take what it
        can read for all there is."""
        body = stream.read()
        end = f"--{parser_context['request'].content_params.get('boundary', '')}--".encode()
        if end not in body:
            raise ParseError("Multipart form parse error - the last boundary is missing.")
        form = super().parse(BytesIO(body), media_type, parser_context)
        if not form.data and not form.files and body.strip() != end:
            raise ParseError("Multipart form parse error - it has no part.")
        return form
