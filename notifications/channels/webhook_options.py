"""The webhook channel's options: what they mean, and what is wrong with them. Nothing is looked up in the DNS."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..shapes import PATH
from .guard import Guard
from .outbound import Limits

Options = Mapping[str, Any]
Problem = tuple[str, str, str]  # id, problem, hint

KNOWN = {
    "allow",
    "ca_file",
    "connect_timeout",
    "endpoints",
    "http",
    "ports",
    "read_timeout",
    "secrets",
    "total_timeout",
    "type",
}
TIMEOUTS = {"connect_timeout": "connect", "read_timeout": "read", "total_timeout": "total"}
SECRET_BYTES = range(24, 65)  # Standard Webhooks 1.0: 192 to 512 bits


def guard(options: Options) -> Guard:
    """Raises ValueError, naming what `allow` has that is neither a host nor a network; TypeError: it is no list."""
    if isinstance(allow := options.get("allow", ()), str):
        raise TypeError("it is a text, of which each letter would be a host")
    return Guard.allowing(allow)


def limits(options: Options) -> Limits:
    return Limits(**{field: options[name] for name, field in TIMEOUTS.items() if name in options})


def endpoints(options: Options) -> dict[str, Options]:
    """Those that have the form of one."""
    given = options.get("endpoints", {})
    return (
        {str(name): e for name, e in given.items() if isinstance(e, dict)} if isinstance(given, dict) else {}
    )


def problems(options: Options) -> Iterator[Problem]:
    """Everything that is wrong, except with URLs. No problem repeats a secret."""
    if unknown := options.keys() - KNOWN:
        yield "E031", f"unknown option {min(unknown)!r}.", f"Known are: {', '.join(sorted(KNOWN))}."
    given = options.get("endpoints", {})
    if not given and not options.get("secrets"):
        yield (
            "E032",
            "there is nobody to send to.",
            "Set OPTIONS['endpoints'], or OPTIONS['secrets'] for any URL.",
        )
    if not isinstance(given, dict) or len(endpoints(options)) != len(given):
        yield (
            "E033",
            "'endpoints' is no dictionary of dictionaries.",
            "Write {name: {'url': …, 'secrets': […]}}.",
        )
    elif any("://" in name for name in endpoints(options)):
        yield "E033", "an endpoint's name looks like a URL.", "Choose a name without '://'."
    secrets = [("'secrets'", options["secrets"])] if "secrets" in options else []
    secrets += [(f"the endpoint {name!r}", e.get("secrets")) for name, e in endpoints(options).items()]
    for owner, value in secrets:
        if not _are_secrets(value):
            hint = "A list of 'whsec_' and 24 to 64 bytes in base64, the newest first (NOTIFICATIONS_WEBHOOK_SECRETS)."
            yield "E034", f"{owner} has no valid list of secrets.", hint
    try:
        guard(options)
    except (TypeError, ValueError) as error:
        yield "E035", f"'allow': {error}.", "Set a list of host names, addresses and networks."
    for name in TIMEOUTS.keys() & options.keys():
        if not isinstance(options[name], int | float) or not 0 < options[name] <= 300:
            yield "E036", f"'{name}' is {options[name]!r}.", "Set seconds, more than 0 and at most 300."
    if not isinstance(options.get("http", False), bool):  # the text "no" would allow it
        yield "E039", f"'http' is {options['http']!r}.", "Set True to allow plain http, or leave it out."
    if not isinstance(options.get("type", ""), str):
        yield "E040", "'type' is no text.", "Set what receivers shall read, or leave it out."
    ports = options.get("ports", [])
    if not isinstance(ports, list | tuple) or not all(isinstance(p, int) and 0 < p < 65536 for p in ports):
        yield "E037", "'ports' is no list of ports.", "Leave it out for 443."
    if (ca_file := options.get("ca_file")) and not (PATH[0](ca_file) and Path(ca_file).is_file()):
        yield "E038", "'ca_file' is no file.", "Set the path of a PEM file, or leave it out for the system's."


def _are_secrets(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(_is_secret(secret) for secret in value)


def _is_secret(secret: Any) -> bool:
    if not isinstance(secret, str) or not secret.isascii():
        return False
    try:
        return len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) in SECRET_BYTES
    except binascii.Error:
        return False
