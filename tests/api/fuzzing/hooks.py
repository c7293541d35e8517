"""What the schema cannot say in a pattern: addresses that the channel takes."""

import schemathesis
from hypothesis import strategies as st

ADDRESSES = st.from_regex(
    r"[a-z][a-z0-9]{0,20}(\.[a-z0-9]{1,9})?@[a-z]{1,20}\.(com|org|example)", fullmatch=True
)
schemathesis.openapi.format("email", ADDRESSES)
schemathesis.openapi.format("recipient", ADDRESSES)
