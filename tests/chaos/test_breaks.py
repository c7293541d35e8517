"""What `make chaos-breaks` takes away is in the code: it would find out a quarter of an hour later."""

import pytest

from tests.chaos.breaks import BREAKS, PROOFS, ROOT, Break


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.law)
def test_what_is_broken_is_there(broken: Break) -> None:
    """Each text that a break takes away stands in its file, and what must see it is known."""
    assert broken.proof in PROOFS
    for file, before, _ in broken.edits:
        assert before in (ROOT / file).read_text()
