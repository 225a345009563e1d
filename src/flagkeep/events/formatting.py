"""Analytics events as JSON text, one by one (events spec, section 3; schema 4).

Contexts come encoded, see `contexts`. Times are in milliseconds since the epoch. Nothing here
raises: a value that has no JSON form becomes null, see `encoding`.
"""

from functools import partial
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType

from flagkeep.events.encoding import Shape, encode


class _Event(Shape, frozen=True, tag_field="kind"):
    creation_date: int


class _Index(_Event, frozen=True, tag="index"):
    context: Raw


class _Identify(_Event, frozen=True, tag="identify"):
    context: Raw


class _Custom(_Event, frozen=True, tag="custom"):
    key: str
    context: Raw
    data: Any
    metric_value: Any


class _Feature(_Event, frozen=True, tag="feature"):
    key: str
    value: Any
    default: Any
    context: Raw
    version: int | UnsetType
    variation: int | UnsetType
    reason: Any
    prereq_of: str | UnsetType
    sampling_ratio: int | UnsetType


class _Debug(_Feature, frozen=True, tag="debug"):
    pass


def index_event(now_ms: int, context_json: bytes) -> bytes:
    """Return the event that describes a context when it is first seen."""
    return encode(_Index(now_ms, Raw(context_json)))


def identify_event(now_ms: int, context_json: bytes) -> bytes:
    """Return the event that describes a context because the application said so."""
    return encode(_Identify(now_ms, Raw(context_json)))


def custom_event(
    now_ms: int, key: str, context_json: bytes, data: Any = None, metric_value: Any = None
) -> bytes:
    """Return the event of something that happened in the application.

    Args:
        context_json: with anonymous contexts redacted.
        data: not sent if None.
        metric_value: not sent if None; 0 is sent.
    """
    return encode(
        _Custom(
            now_ms,
            key,
            Raw(context_json),
            UNSET if data is None else data,
            UNSET if metric_value is None else metric_value,
        )
    )


def _evaluation_event(
    shape: type[_Feature],
    now_ms: int,
    *,
    key: str,
    version: int | None,
    variation: int | None,
    value: Any,
    default: Any,
    reason: Any,
    prereq_of: str | None,
    sampling_ratio: int,
    context_json: bytes,
) -> bytes:
    return encode(
        shape(
            now_ms,
            key,
            value,
            default,
            Raw(context_json),
            UNSET if version is None else version,
            UNSET if variation is None else variation,
            UNSET if reason is None else reason,
            UNSET if prereq_of is None else prereq_of,
            UNSET if sampling_ratio == 1 else sampling_ratio,
        )
    )


feature_event: Final = partial(_evaluation_event, _Feature)
"""Return the full event of one evaluation.

Args:
    now_ms: when it was.
    version: None if there is no such flag.
    variation: None if the default was used.
    reason: its wire form, None if it is not to be sent.
    prereq_of: key of the flag that required this one, if one did.
    sampling_ratio: of the flag; sent unless it is 1, so that the upstream can scale.
    context_json: with anonymous contexts redacted.
"""

debug_event: Final = partial(_evaluation_event, _Debug)
"""Return the event of one evaluation while the flag is debugged.

Arguments as for `feature_event`, but `context_json` with anonymous contexts whole.
"""
