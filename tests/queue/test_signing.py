"""Our signed packages and django-q2's are the same."""

import pytest
from django_q.signing import BadSignature, SignedPackage

from notifications.backends.queue import package, signing

PACKAGE = {"func": "tests.queue.tasks.add.call", "id": "1" * 32, "args": (1, "é"), "kwargs": {"b": [None]}}


def test_each_reads_what_the_other_wrote() -> None:
    """Law: the admin reads our entries, and we read those of `async_task`."""
    assert SignedPackage.loads(signing.dumps(PACKAGE)) == PACKAGE
    assert signing.loads(SignedPackage.dumps(PACKAGE)) == PACKAGE
    assert signing.loads(SignedPackage.dumps(PACKAGE, compressed=True)) == PACKAGE


def test_we_sign_to_the_byte_alike() -> None:
    ours, theirs = signing.dumps(PACKAGE), SignedPackage.dumps(PACKAGE)
    assert ours.split(":")[0] == theirs.split(":")[0]
    assert len(ours) == len(theirs)


@pytest.mark.parametrize("at", [0, 10, -1])
def test_a_changed_payload_is_refused(at: int) -> None:
    """Law: nothing is unpickled that this installation did not sign."""
    payload = list(signing.dumps(PACKAGE))
    payload[at] = "A" if payload[at] != "A" else "B"
    with pytest.raises(BadSignature):
        signing.loads("".join(payload))
    for junk in ("", ":", "x", "a:b:c"):
        with pytest.raises(package.UnreadablePackage):
            package.unpack(junk)


def test_the_function_is_read_without_unpacking() -> None:
    """Law: a peek gives the path or nothing; what it gives decides only where the entry is sent."""
    assert signing.peek_func(signing.dumps(PACKAGE)) == PACKAGE["func"]
    assert signing.peek_func(signing.dumps({"id": "1" * 32, **PACKAGE})) == PACKAGE["func"]
    by_reference = signing.dumps({**PACKAGE, "func": test_we_sign_to_the_byte_alike})
    assert package.target_of_payload(by_reference).call is test_we_sign_to_the_byte_alike
    for name in range(1, 200):  # what is looked at ends in the middle of anything
        assert signing.peek_func(signing.dumps({"name": "n" * name, **PACKAGE})) in (PACKAGE["func"], None)
    for junk in ("", "x", "not base64 at all !!", SignedPackage.dumps(PACKAGE, compressed=True)):
        assert signing.peek_func(junk) is None
