"""The errors of a store in Consul, and what a token must be allowed to do; for both colours."""

from typing import Final

from flagkeep.errors import StoreError, StoreUnavailable, UpstreamUnavailable
from flagkeep.storage.consul_answers import Refusal, Why
from flagkeep.storage.consul_layout import Names

_INCOMPLETE: Final = "no complete answer"
# What the driver says of a server that is there, and does not answer.
_LATE: Final = (_INCOMPLETE, "nothing came", "it takes too long")
_LEADERLESS: Final = "a cluster without a leader does not answer for seconds, either"


class AccessDenied(StoreUnavailable):
    """The token may not do it."""


class TokenUnknown(AccessDenied):
    """There is no such token."""


class WritesRefused(StoreUnavailable):
    """This machine may only use GET, or the agent has no transactions for it."""


class TooLarge(StoreUnavailable):
    """The server does not take so much at a time."""


class NameRefused(StoreUnavailable):
    """The server does not take such a key in a URL."""


class Unreachable(StoreUnavailable):
    """There was no answer."""


class Late(Unreachable):
    """There was none in time; what was asked for may have been done, or be done yet."""


_CLASSES: Final = {
    Why.DENIED: AccessDenied,
    Why.UNKNOWN: TokenUnknown,
    Why.NO_WRITES: WritesRefused,
    Why.TOO_LARGE: TooLarge,
    Why.NAME: NameRefused,
}


def rules(names: Names) -> str:
    """Return the ACL rules that a token needs."""
    prefix, own = (text.replace('"', '\\"') for text in (names.prefix, names.own))
    return (
        f'readers need key_prefix "{prefix}/" {{ policy = "read" }} and key_prefix "{own}"'
        ' { policy = "read" }, writers policy = "write" for both'
    )


def refused(label: str, operation: str, refusal: Refusal, names: Names) -> StoreError:
    """Return the error for an answer that is none."""
    reason = refusal.reason
    if refusal.why is Why.DENIED:
        reason = f"{reason}; {rules(names)}"
    return _CLASSES.get(refusal.why, StoreUnavailable)(label, operation, reason)


def unreachable(
    label: str, operation: str, problem: UpstreamUnavailable, seconds: float
) -> StoreError:
    """Return the error for an answer that did not come, of so many seconds at most."""
    reason = problem.reason
    if not reason.startswith(_LATE):
        return Unreachable(label, operation, reason)
    if reason.startswith(_INCOMPLETE):
        reason = f"{_INCOMPLETE} within {seconds:g} s"
    return Late(label, operation, f"{reason}: {_LEADERLESS}")
