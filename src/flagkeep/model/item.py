"""Flags and segments as stores and sources hand them on: a version and unopened JSON text."""

from enum import StrEnum
from typing import NamedTuple

import msgspec


class Kind(StrEnum):
    """The two kinds of item. How a database or protocol calls them is the layout's business."""

    FLAG = "flag"
    SEGMENT = "segment"


class ItemRef(NamedTuple):
    """Names one item of an environment."""

    kind: Kind
    key: str


class SerializedItem(msgspec.Struct, frozen=True, gc=False):
    """One flag or segment, or the tombstone of one.

    Attributes:
        version: orders the states of one item; compared per item only.
        deleted: whether this is a tombstone ("deleted at `version`").
        data: the JSON text as received, UTF-8, unknown properties included.
    """

    version: int
    deleted: bool
    data: bytes


class BadItem(msgspec.Struct, frozen=True):
    """An item that could not be used, and why; its last good version stays in force.

    Attributes:
        path: the offending field, such as `$.rules[0].clauses`.
    """

    kind: Kind
    key: str
    path: str
    problem: str

    @property
    def ref(self) -> ItemRef:
        """Which item it is."""
        return ItemRef(self.kind, self.key)

    def __str__(self) -> str:
        return f"{self.kind} {self.key!r} at {self.path}: {self.problem}"
