"""URLs of webhooks: taken apart once, by one strict pattern, so that what was checked is what is connected to."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import idna
from django.core.exceptions import ValidationError

MAX_LENGTH = 2048
DEFAULT_PORTS = {"https": 443, "http": 80}

# Stricter than RFC 3986: no userinfo, no fragment, no backslash, nothing that somebody else's parser might take
# for the end of the host.
URL = re.compile(
    r"(?P<scheme>[A-Za-z]+)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\x00-\x20\x7f/?#@:\[\]\\%]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:/[!$-;=@-Z_a-z~]*)?(?:\?[!$-;=?-Z_a-z~]*)?)"
)


@dataclass(frozen=True, slots=True)
class URLParts:
    scheme: str  # "https" or "http"
    host: str  # lower case, IDNA; an IPv6 address in its brackets
    port: int
    target: str  # path and query, as they were written

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        default = DEFAULT_PORTS.get(self.scheme) == self.port
        return self.host if default else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(url: str) -> URLParts:
    """Raises ValidationError with the reason, which never repeats the URL. No DNS look-up is made."""
    if len(url) > MAX_LENGTH:
        raise ValidationError(f"A URL has at most {MAX_LENGTH} characters.", code="max_length")
    match = URL.fullmatch(url)
    if match is None or match["scheme"].lower() not in DEFAULT_PORTS:
        raise ValidationError(
            "This is not a URL of a webhook: https, a host, a path, all of it ASCII and without user or fragment.",
            code="invalid",
        )
    scheme = match["scheme"].lower()
    port = int(match["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        raise ValidationError("There is no such port.", code="invalid")
    target = match["target"]
    parts = URLParts(scheme, _host(match["host"]), port, target if target.startswith("/") else f"/{target}")
    if len(str(parts)) > MAX_LENGTH:  # a host in its IDNA form may be the longer one
        raise ValidationError(f"A URL has at most {MAX_LENGTH} characters.", code="max_length")
    return parts


def _host(host: str) -> str:
    invalid = ValidationError("The URL has no valid host.", code="invalid")
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1])}]"
        last = host.rstrip(".").rpartition(".")[2].lower()
        # What ends in a number is an IPv4 address (WHATWG URL, 3.5), and has one way to be written here.
        if last.isdigit() or last.startswith("0x"):
            return str(IPv4Address(host))
        return idna.encode(host.rstrip("."), uts46=True).decode().lower()
    except (AddressValueError, idna.IDNAError) as error:
        raise invalid from error
