"""How bodies are read: REST framework's parsers, less what they let pass or fall over."""

from typing import Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import get_encoding  # type: ignore[attr-defined]  # the stubs are older
from rest_framework.utils import json

__all__ = ["JSONParser", "get_encoding", "parse_json"]


def parse_json(text: str) -> Any:
    """Raises ValueError for what is no JSON (NaN is none), and for what is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class JSONParser(parsers.JSONParser):
    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        encoding = get_encoding(parser_context or {})
        try:
            return parse_json(stream.read().decode(encoding))
        except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both
            raise ParseError(f"JSON parse error - {error}") from error
