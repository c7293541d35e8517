"""The retry policy is pure: a number and an error go in, a delay or None comes out."""

from datetime import timedelta
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.retry import RetryPolicy

SECOND = timedelta(seconds=1)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 50),
    base=st.timedeltas(timedelta(0), timedelta(days=1)),
    cap=st.timedeltas(timedelta(0), timedelta(days=2)),
    max_age=st.timedeltas(timedelta(0), timedelta(days=7)),
)


@given(policies, st.integers(1, 10_000), st.timedeltas(timedelta(0), timedelta(days=30)))
def test_a_delay_never_exceeds_the_cap_the_attempts_or_the_age(
    policy: RetryPolicy, attempt: int, age: timedelta
) -> None:
    """Whatever the numbers: None, or a delay between zero and the backoff that ends before the maximum age."""
    delay = policy.delay(attempt, age=age)
    if delay is None:
        assert attempt >= policy.max_attempts or age + policy.backoff(attempt) > policy.max_age
    else:
        assert attempt < policy.max_attempts
        assert timedelta(0) <= delay <= policy.backoff(attempt) <= policy.cap
        assert age + delay <= policy.max_age


@given(policies, st.integers(1, 100))
def test_a_permanent_error_is_never_retried(policy: RetryPolicy, attempt: int) -> None:
    """Trying again cannot help, so it is not tried."""
    assert policy.delay(attempt, age=timedelta(0), permanent=True) is None


def test_the_backoff_doubles_up_to_the_cap() -> None:
    """Exponential: each failure waits twice as long as the one before."""
    policy = RetryPolicy(base=2 * SECOND, cap=60 * SECOND)
    assert [policy.backoff(n) / SECOND for n in range(1, 8)] == [2, 4, 8, 16, 32, 60, 60]


def test_no_backoff_is_too_long_to_write() -> None:
    """A policy of days that goes on for months still has its cap after any number of attempts."""
    policy = RetryPolicy(base=timedelta(hours=12), cap=timedelta(days=2))
    assert [policy.backoff(n) / policy.cap for n in (1, 2, 3, 32, 33, 10_000)] == [0.25, 0.5, 1, 1, 1, 1]


def test_the_jitter_is_full() -> None:
    """Drawn between zero and the backoff: what failed together does not come back together."""
    delays = [RetryPolicy(base=100 * SECOND).delay(1, age=timedelta(0)) for _ in range(300)]
    tenths = {int(delay / (10 * SECOND)) for delay in delays if delay is not None}
    assert tenths == set(range(10))


def test_retry_after_is_a_lower_bound() -> None:
    """The other side's own wish is honoured, past the cap too, but not past the maximum age."""
    policy = RetryPolicy(base=SECOND, cap=SECOND, max_age=timedelta(hours=1))
    assert policy.delay(1, age=timedelta(0), retry_after=90 * SECOND) == 90 * SECOND
    assert policy.delay(1, age=timedelta(0), retry_after=timedelta(hours=2)) is None


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"MAX_TRIES": 3}, "MAX_TRIES"),
        ({"MAX_ATTEMPTS": 0}, "MAX_ATTEMPTS"),
        ({"MAX_ATTEMPTS": nan}, "MAX_ATTEMPTS"),
        ({"MAX_ATTEMPTS": "3"}, "MAX_ATTEMPTS"),
        ({"BASE": 5}, "BASE"),
        ({"CAP": timedelta(seconds=-1)}, "CAP"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], named: str) -> None:
    """An option that is unknown or makes no sense is refused by its name."""
    with pytest.raises(ValueError, match=named):
        RetryPolicy.from_options(options)
