"""E-mail addresses: one and only one, in the one form that is stored."""

import re
from email.errors import InvalidHeaderDefect
from email.policy import SMTP

from django.core.exceptions import ValidationError
from email_validator import EmailNotValidError, validate_email

# What most addresses look like, and the library would let pass unchanged: it takes 1 µs instead of 60. A test
# holds it to that. Anything else (IDNA, quotes, upper case, every refusal) is the library's.
PLAIN = re.compile(
    r"(?=[^@]{1,64}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*"
    r"@(?=[^@]{1,180}\Z)(?:[a-z0-9](?:[a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]{2,24}",
    re.ASCII | re.IGNORECASE,
)

MAX_LENGTH = 254  # RFC 5321 4.5.3.1.3: a path of 256 octets, less its angle brackets


def clean_address(address: str) -> str:
    """The address with its domain in lower case and IDNA form; the local part stays as it is.

    Raises ValidationError with the reason, which never repeats the address. Lengths and syntax are those of
    RFC 5321 and 5322 (email-validator): 254 characters, 64 before the @. A domain needs a dot: `you@localhost`
    would be somebody on this machine. No DNS look-up is made.
    """
    if PLAIN.fullmatch(address):
        local, _, domain = address.rpartition("@")
        return f"{local}@{domain.lower()}"
    if len(address) > MAX_LENGTH:
        raise ValidationError(f"An address has at most {MAX_LENGTH} characters.", code="max_length")
    if any(ord(character) < 32 or ord(character) == 127 for character in address):
        raise ValidationError("An address has no control characters.", code="control_character")
    try:
        parts = validate_email(address, check_deliverability=False, globally_deliverable=False, strict=True)
    except EmailNotValidError as error:
        raise ValidationError(_without(address, str(error)), code="invalid") from error
    if "." not in parts.ascii_domain:
        raise ValidationError("The part after the @ is not a full domain name.", code="invalid")
    return f"{parts.local_part}@{parts.ascii_domain.lower()}"


def is_sender(text: str) -> bool:
    """Whether it is one address, with its name if it has one, as a header says it. Raises ValueError for a line end."""
    _, header = SMTP.header_store_parse("From", text)
    invalid = any(isinstance(defect, InvalidHeaderDefect) for defect in header.defects)
    return len(header.addresses) == 1 and not invalid


def _without(address: str, reason: str) -> str:
    # Some of the library's reasons quote a part of what they refuse; problem documents never do.
    quoted = any(part and part in reason for part in address.split("@") if len(part) > 1)
    return "This is not a valid e-mail address." if quoted else reason
