"""How often flags were evaluated, and with what result (events spec, section 3.2).

Summaries add up: in whatever parts and order evaluations are counted, the sums are the same. Of
different defaults of one flag, or values of one counter, the first that is added is shown.
"""

from collections.abc import Iterable, Mapping
from typing import Any, final

import msgspec
from msgspec import UNSET, UnsetType

from flagkeep.events.encoding import Shape, encode


class Counter(msgspec.Struct):
    """How often a flag had one result.

    Attributes:
        value: that was returned: of the variation, or the default.
    """

    value: Any
    count: int


class FlagSummary(msgspec.Struct):
    """The evaluations of one flag.

    Attributes:
        default: of the first of them.
        kinds: of all contexts.
        counters: by variation (None: the default was used) and version (None: unknown flag).
    """

    default: Any
    kinds: set[str]
    counters: dict[tuple[int | None, int | None], Counter]


@final
class Summary:
    """Everything that was evaluated between two flushes. Not safe to be shared by threads.

    Attributes:
        features: by flag key.
        start_ms: of the first evaluation, None if there was none.
        end_ms: of the last one.
    """

    __slots__ = ("end_ms", "features", "start_ms")

    def __init__(self) -> None:
        self.features: dict[str, FlagSummary] = {}
        self.start_ms: int | None = None
        self.end_ms: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return not self.features

    @property
    def total(self) -> int:
        """How many evaluations were counted."""
        flags = self.features.values()
        return sum(one.count for flag in flags for one in flag.counters.values())

    def add(
        self,
        flag_key: str,
        *,
        default: Any,
        kinds: Iterable[str],
        variation: int | None,
        version: int | None,
        value: Any,
        count: int = 1,
    ) -> None:
        """Count evaluations of one flag with one result."""
        flag = self.features.get(flag_key)
        if flag is None:
            flag = self.features[flag_key] = FlagSummary(default, set(), {})
        flag.kinds.update(kinds)
        counter = flag.counters.get((variation, version))
        if counter is None:
            flag.counters[variation, version] = Counter(value, count)
        else:
            counter.count += count

    def extend(self, start_ms: int, end_ms: int) -> None:
        """Let the period reach from or before `start_ms` to or beyond `end_ms`."""
        if self.start_ms is None or start_ms < self.start_ms:
            self.start_ms = start_ms
        if self.end_ms is None or end_ms > self.end_ms:
            self.end_ms = end_ms

    def merge(self, other: "Summary") -> None:
        """Add what another summary has counted; the other one is left as it is."""
        for key, flag in other.features.items():
            for (variation, version), counter in flag.counters.items():
                self.add(
                    key,
                    default=flag.default,
                    kinds=flag.kinds,
                    variation=variation,
                    version=version,
                    value=counter.value,
                    count=counter.count,
                )
        if other.start_ms is not None and other.end_ms is not None:
            self.extend(other.start_ms, other.end_ms)

    def encode(self) -> bytes:
        """Return the event."""
        return summary_event(self.start_ms or 0, self.end_ms or 0, self.features)


class _Count(Shape, frozen=True):
    value: Any
    variation: int | UnsetType
    version: int | UnsetType
    unknown: bool | UnsetType
    count: int


class _Feature(Shape, frozen=True):
    default: Any
    context_kinds: list[str]
    counters: list[_Count]


class _SummaryEvent(Shape, frozen=True, tag_field="kind", tag="summary"):
    start_date: int
    end_date: int
    features: dict[str, _Feature]


def summary_event(start_ms: int, end_ms: int, features: Mapping[str, FlagSummary]) -> bytes:
    """Return the event of counted evaluations; times in milliseconds since the epoch."""
    written = {key: _feature(flag) for key, flag in features.items()}
    return encode(_SummaryEvent(start_ms, end_ms, written))


def _feature(flag: FlagSummary) -> _Feature:
    counters = [
        _Count(
            counter.value,
            UNSET if variation is None else variation,
            UNSET if version is None else version,
            True if version is None else UNSET,
            counter.count,
        )
        for (variation, version), counter in flag.counters.items()
    ]
    return _Feature(flag.default, sorted(flag.kinds), counters)
