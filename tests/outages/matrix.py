"""The outage matrix: faults by caches by ways to get data, and what clients promise in each cell.

The promises: no call raises. What was once read is served; what was never read is the default. A
call waits for the store once, for no longer than the deadline, and not at all while the store is
known to be down. When the fault ends, the store is followed, or filled, as before it. One line in
the log when the outage begins, one when it ends. Nothing at all where the client is not touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from flagkeep.config import CachePolicy, Config, StorePolicy
from tests.outages.fault import Back, Fault, Mode

CACHES: Final = {
    "off": CachePolicy.off(),
    "ttl": CachePolicy(0.2),
    "forever": CachePolicy.forever(),
}
# For readers that hold single items, read when they are asked for, instead of everything.
ITEM_CACHES: Final = {f"items-{name}": CACHES[name] for name in ("ttl", "forever")}


@dataclass(frozen=True)
class Cell:
    """One fault, met by one client."""

    fault: Fault
    cache: str

    def config(self, **more: Any) -> Config:
        """Return the settings of the client."""
        policy = StorePolicy(deadline=self.fault.deadline, prefetch=self.cache in CACHES)
        cache = (CACHES | ITEM_CACHES)[self.cache]
        return Config(cache=cache, store_policy=policy, **more)

    @property
    def rereads(self) -> bool:
        """Whether time alone makes a reader look at the store again."""
        return not self.cache.endswith("forever")


def cells(faults: Sequence[Fault], mode: Mode) -> list[Any]:
    """Return the cells of a mode."""
    return [
        _param(fault, cache, is_quick=fault.usual == (mode, cache))
        for fault in faults
        for cache in CACHES
        if not fault.only or (mode, cache) in fault.only
    ]


def item_cells(faults: Sequence[Fault]) -> list[Any]:
    """Return the cells of readers that hold single items."""
    return [
        _param(fault, cache, is_quick=fault.cold and fault.deadline < 1 and cache == "items-ttl")
        for fault in faults
        for cache in ITEM_CACHES
        if not fault.only
    ]


def cold_cells(faults: Sequence[Fault]) -> list[Any]:
    """Return the cells of a reader that starts while nothing can be read."""
    return [
        _param(fault, cache, is_quick=fault.cold and cache == "ttl")
        for fault in faults
        for cache in ("off", "ttl")
        if fault.stops_reads and not fault.only and fault.back is Back.SAME
    ]


def cold_writer_cells(faults: Sequence[Fault]) -> list[Any]:
    """Return the cells of a writer that starts while nothing can be written."""
    return [
        _param(fault, "ttl", is_quick=fault.cold and fault.deadline < 1)
        for fault in faults
        if fault.stops_writes and not fault.only and fault.back is Back.SAME
    ]


def crowd_cells(faults: Sequence[Fault]) -> list[Any]:
    """Return the cells in which many ask at the moment of the fault."""
    return [
        _param(fault, "off", is_quick=fault.cold)
        for fault in faults
        if fault.stops_reads and not fault.only and fault.back is Back.SAME
    ]


def _param(fault: Fault, cache: str, *, is_quick: bool) -> Any:
    """Return a cell as pytest wants it; what the quick tests leave out is marked `faults`."""
    marks = [pytest.mark.slow]
    if not is_quick:
        marks.append(pytest.mark.faults)
    return pytest.param(Cell(fault, cache), id=f"{fault.name}-{cache}", marks=marks)
