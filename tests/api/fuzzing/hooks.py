"""What the schema cannot say in a pattern: addresses that the channel takes, and ids that are there."""

import os
from typing import Any
from uuid import UUID

import schemathesis
from hypothesis import strategies as st

ADDRESSES = st.from_regex(
    r"[a-z][a-z0-9]{0,20}(\.[a-z0-9]{1,9})?@[a-z]{1,20}\.(com|org|example)", fullmatch=True
)
schemathesis.openapi.format("email", ADDRESSES)
schemathesis.openapi.format("recipient", ADDRESSES)

UNKNOWN = os.environ["FUZZING_UNKNOWN"].split(",")


@schemathesis.hook.apply_to(operation_id=["confirm", "sendAgain"])
def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
    """Each id is that of an unknown notification of the caller: no run of links leads to one."""
    try:
        made_up = UUID(str(path_parameters["id"])).int
    except (KeyError, ValueError):  # left out, or wrong, on purpose
        return path_parameters
    return {**path_parameters, "id": UNKNOWN[made_up % len(UNKNOWN)]}
