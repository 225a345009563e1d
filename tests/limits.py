"""Limits on time in tests: a machine that pauses misses one now and then, a mistake every time.

So a test that fails for this reason alone, or by a store's own limit, is run again, twice at most
(`only_rerun` in `pyproject.toml`). Whoever fails for any other reason has failed.
"""

import time


class TookTooLong(AssertionError):
    """Something was not done in time."""


def check_took(seconds: float, limit: float) -> None:
    """Check that what took so many seconds stayed within its limit."""
    if seconds > limit:
        raise TookTooLong(f"{seconds:.3f} s, where {limit:g} s are the limit")


def check_within(limit: float, *, since: float) -> None:
    """Check that no more than so many seconds have passed since a time of the monotonic clock."""
    check_took(time.monotonic() - since, limit)
