"""What lint finds: a place in an item, how bad it is, and what is wrong there."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from flagkeep.model.item import Kind


class Severity(StrEnum):
    """How bad it is.

    An error makes the item evaluate to something other than what is written in it; a warning is
    about something without effect, or probably not meant; an info is worth knowing.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Remark(NamedTuple):
    """Something found at a path within an item that the reader knows already."""

    path: str
    severity: Severity
    message: str


class Finding(msgspec.Struct, frozen=True):
    """Something found in one item.

    Attributes:
        path: within the item, such as `$.rules[0].clauses[1].values[2]`.
    """

    kind: Kind
    key: str
    path: str
    severity: Severity
    message: str


def error(path: str, message: str) -> Remark:
    """Return a remark of the worst kind."""
    return Remark(path, Severity.ERROR, message)


def warning(path: str, message: str) -> Remark:
    """Return a remark of the middle kind."""
    return Remark(path, Severity.WARNING, message)


def info(path: str, message: str) -> Remark:
    """Return a remark of the mildest kind."""
    return Remark(path, Severity.INFO, message)
