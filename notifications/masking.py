"""Addresses as a viewer sees them: enough to recognise one's own, not enough to write to."""

import re

# RFC 5321, 4.1.2: the local part may be quoted, and the domain be an address in brackets. What may begin in the middle
# of a word is looked for at its beginning only: else a long one without an `@` takes the square of its length.
ADDRESS = re.compile(
    r"""(?:"[^"\s]+"|(?<![^\s<>()\[\]",;:@])[^\s<>()\[\]",;:@]+)@(?:\[[\w.:]+\]|[^\s<>()\[\]",;:@]+)"""
)


def masked(recipient: str) -> str:
    """`you@example.com` is `y…@e…le.com`; what is no address keeps its ends."""
    local, at, domain = recipient.rpartition("@")
    if not at:
        return _ends(recipient)
    name, dot, top = domain.rpartition(".")
    return f"{local[:1]}…@{_ends(name if dot else domain)}{dot}{top if dot else ''}"


def without_addresses(text: str) -> str:
    """The text with every address in it masked: an error of the other side may well name one."""
    return ADDRESS.sub(lambda found: masked(found[0]), text)


def _ends(text: str) -> str:
    return f"{text[:1]}…{text[-2:] if len(text) > 4 else ''}"
