"""What an evaluation answers: the value, its index, and the reason."""

from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class ReasonKind(StrEnum):
    """Which part of a flag decided."""

    OFF = "OFF"
    FALLTHROUGH = "FALLTHROUGH"
    TARGET_MATCH = "TARGET_MATCH"
    RULE_MATCH = "RULE_MATCH"
    PREREQUISITE_FAILED = "PREREQUISITE_FAILED"
    ERROR = "ERROR"


class ErrorKind(StrEnum):
    """Why an evaluation answered the default."""

    CLIENT_NOT_READY = "CLIENT_NOT_READY"
    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    MALFORMED_FLAG = "MALFORMED_FLAG"
    USER_NOT_SPECIFIED = "USER_NOT_SPECIFIED"
    WRONG_TYPE = "WRONG_TYPE"
    EXCEPTION = "EXCEPTION"


class BigSegmentsStatus(StrEnum):
    """How far an answer that needed a Big Segment can be trusted; from good to worst."""

    HEALTHY = "HEALTHY"
    STALE = "STALE"
    STORE_ERROR = "STORE_ERROR"
    NOT_CONFIGURED = "NOT_CONFIGURED"


class Reason(msgspec.Struct, frozen=True):
    """Why an evaluation came out as it did (evaluation spec, section 3)."""

    kind: ReasonKind
    rule_index: int | None = None
    rule_id: str | None = None
    prerequisite_key: str | None = None
    in_experiment: bool = False
    error_kind: ErrorKind | None = None
    big_segments_status: BigSegmentsStatus | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form; `ruleId` is there for every rule match, None if it has none."""
        wire: dict[str, Any] = {"kind": self.kind.value}
        if self.kind is ReasonKind.RULE_MATCH:
            wire["ruleIndex"] = self.rule_index
            wire["ruleId"] = self.rule_id
        if self.prerequisite_key is not None:
            wire["prerequisiteKey"] = self.prerequisite_key
        if self.in_experiment:
            wire["inExperiment"] = True
        if self.error_kind is not None:
            wire["errorKind"] = self.error_kind.value
        if self.big_segments_status is not None:
            wire["bigSegmentsStatus"] = self.big_segments_status.value
        return wire


OFF = Reason(ReasonKind.OFF)
FALLTHROUGH = Reason(ReasonKind.FALLTHROUGH)
TARGET_MATCH = Reason(ReasonKind.TARGET_MATCH)


def error_reason(kind: ErrorKind) -> Reason:
    """Return the reason of a failed evaluation."""
    return Reason(ReasonKind.ERROR, error_kind=kind)


class Detail(msgspec.Struct, Generic[T], frozen=True):
    """A value and how it came about.

    Attributes:
        value: the flag's value, or the caller's default where `index` is None.
        index: of the variation, None if the default was used.
        reason: which part of the flag decided, or what failed.
        data_age: seconds since the data was last known to be current; None while it is.
    """

    value: T
    index: int | None
    reason: Reason
    data_age: float | None = None

    @property
    def is_default(self) -> bool:
        """Whether the caller's default was used."""
        return self.index is None
