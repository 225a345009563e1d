"""The outage matrix: faults by caches by ways to get data, and what clients promise in each cell.

The promises: no call raises. What was once read is served; what was never read is the default. A
call waits for the store once, for no longer than the deadline, and not at all while the store is
known to be down. When the fault ends, the store is followed, or filled, as before it. One line in
the log when the outage begins, one when it ends. Nothing at all where the client is not touched.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import pytest

from flagkeep.config import CachePolicy, Config, StorePolicy
from tests.outages import redis_place as redis
from tests.outages import sqlite_place as sqlite
from tests.outages.place import Place
from tests.outages.redis_place import RedisPlace
from tests.outages.sqlite_place import SQLitePlace


class Mode(StrEnum):
    """Where the client under test has its data from."""

    DAEMON = "daemon"  # the store, which somebody else fills
    FED = "fed"  # a file; it fills the store


class Back(StrEnum):
    """What the store holds when the fault is over."""

    SAME = "same"
    EMPTY = "empty"
    OLD = "old"


CACHES: Final = {
    "off": CachePolicy.off(),
    "ttl": CachePolicy(0.2),
    "forever": CachePolicy.forever(),
}
# For readers that hold single items, read when they are asked for, instead of everything.
ITEM_CACHES: Final = {f"items-{name}": CACHES[name] for name in ("ttl", "forever")}


@dataclass(frozen=True)
class Fault:
    """One thing that happens to a store.

    Attributes:
        begin: makes it happen.
        end: undoes it.
        usual: the mode and the cache with which the quick tests meet it.
        stops_reads: whether a client that reads notices.
        stops_writes: whether a client that writes notices.
        back: what is there afterwards.
        cold: whether the quick tests let a client start during it too.
        deadline: of an evaluation, in seconds.
        settings: of the store, beside those of its place.
        only: the modes and caches that notice it, where that is not all of them.
    """

    name: str
    place: Callable[[], Place]
    begin: Callable[[Any], None]
    end: Callable[[Any], None]
    usual: tuple[Mode, str]
    stops_reads: bool = True
    stops_writes: bool = True
    back: Back = Back.SAME
    cold: bool = False
    deadline: float = 0.5
    settings: Mapping[str, Any] = field(default_factory=dict)
    only: frozenset[tuple[Mode, str]] = frozenset()

    @contextmanager
    def at(self, place: Place) -> Iterator[Callable[[], None]]:
        """Let it happen to a place; yields what ends it, if the block is to go on after that."""
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self.end(place)

        self.begin(place)
        try:
            yield end
        finally:
            end()


DAEMON, FED = Mode.DAEMON, Mode.FED

FAULTS: Final = (
    Fault("redis-refused", RedisPlace, redis.refuse, redis.pass_on, (DAEMON, "off"), cold=True),
    Fault("redis-stopped", RedisPlace, redis.pause, redis.resume, (DAEMON, "ttl"), cold=True),
    Fault("redis-killed", RedisPlace, redis.kill, redis.start, (FED, "forever")),
    Fault("redis-cut", RedisPlace, redis.cut_every_reply, redis.pass_on, (DAEMON, "off")),
    Fault(
        "redis-cut-when-long",
        RedisPlace,
        redis.cut_long_replies,
        redis.pass_on,
        (DAEMON, "ttl"),
        only=frozenset({(DAEMON, "off"), (DAEMON, "ttl")}),
    ),
    Fault(
        "redis-back-empty",
        RedisPlace,
        redis.kill_without_a_copy,
        redis.start_empty,
        (DAEMON, "ttl"),
        back=Back.EMPTY,
    ),
    Fault(
        "redis-back-old",
        RedisPlace,
        redis.kill_without_a_copy,
        redis.start,
        (DAEMON, "off"),
        back=Back.OLD,
    ),
    Fault(
        "redis-read-only",
        RedisPlace,
        redis.become_a_replica,
        redis.become_a_master,
        (FED, "ttl"),
        stops_reads=False,
    ),
    Fault(
        "redis-out-of-memory",
        RedisPlace,
        redis.run_out_of_memory,
        redis.have_memory_again,
        (FED, "off"),
        stops_reads=False,
    ),
    Fault(
        "redis-wrong-password",
        RedisPlace,
        redis.change_the_password,
        redis.take_the_password_back,
        (DAEMON, "off"),
    ),
    Fault(
        "redis-late",
        RedisPlace,
        redis.answer_late,
        redis.pass_on,
        (DAEMON, "off"),
        cold=True,
        deadline=1.0,
        settings={"timeout": 2.0},
    ),
    Fault(
        "sqlite-missing",
        SQLitePlace,
        sqlite.take_away,
        sqlite.bring_back,
        (DAEMON, "forever"),
        cold=True,
    ),
    Fault(
        "sqlite-locked", SQLitePlace, sqlite.lock, sqlite.unlock, (FED, "ttl"), stops_reads=False
    ),
    Fault(
        "sqlite-killed-writer",
        SQLitePlace,
        sqlite.kill_a_writer,
        sqlite.nothing,
        (DAEMON, "ttl"),
        stops_reads=False,
        stops_writes=False,
    ),
    Fault(
        "sqlite-back-empty",
        SQLitePlace,
        sqlite.take_away,
        sqlite.bring_empty,
        (DAEMON, "off"),
        back=Back.EMPTY,
    ),
    Fault(
        "sqlite-back-old",
        SQLitePlace,
        sqlite.take_away,
        sqlite.bring_old,
        (DAEMON, "forever"),
        back=Back.OLD,
    ),
    Fault(
        "sqlite-read-only",
        SQLitePlace,
        sqlite.become_read_only,
        sqlite.become_writable,
        (FED, "off"),
        stops_reads=False,
    ),
    Fault(
        "sqlite-disk-full",
        SQLitePlace,
        sqlite.fill_the_disk,
        sqlite.make_room,
        (FED, "forever"),
        stops_reads=False,
    ),
    Fault(
        "sqlite-slow",
        SQLitePlace,
        sqlite.become_slow,
        sqlite.unlock,
        (DAEMON, "off"),
        cold=True,
        deadline=1.0,
        settings={"busy_timeout": 3.0},
    ),
)


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


def cells(mode: Mode) -> list[Any]:
    """Return the cells of a mode."""
    return [
        _param(fault, cache, is_quick=fault.usual == (mode, cache))
        for fault in FAULTS
        for cache in CACHES
        if not fault.only or (mode, cache) in fault.only
    ]


def item_cells() -> list[Any]:
    """Return the cells of readers that hold single items."""
    return [
        _param(fault, cache, is_quick=fault.cold and fault.deadline < 1 and cache == "items-ttl")
        for fault in FAULTS
        for cache in ITEM_CACHES
        if not fault.only
    ]


def cold_cells() -> list[Any]:
    """Return the cells of a reader that starts while nothing can be read."""
    return [
        _param(fault, cache, is_quick=fault.cold and cache == "ttl")
        for fault in FAULTS
        for cache in ("off", "ttl")
        if fault.stops_reads and not fault.only and fault.back is Back.SAME
    ]


def cold_writer_cells() -> list[Any]:
    """Return the cells of a writer that starts while nothing can be written."""
    return [
        _param(fault, "ttl", is_quick=fault.cold and fault.deadline < 1)
        for fault in FAULTS
        if fault.stops_writes and not fault.only and fault.back is Back.SAME
    ]


def crowd_cells() -> list[Any]:
    """Return the cells in which many ask at the moment of the fault."""
    return [
        _param(fault, "off", is_quick=fault.cold)
        for fault in FAULTS
        if fault.stops_reads and not fault.only and fault.back is Back.SAME
    ]


def _param(fault: Fault, cache: str, *, is_quick: bool) -> Any:
    """Return a cell as pytest wants it; what the quick tests leave out is marked `faults`."""
    marks = [pytest.mark.slow]
    if not is_quick:
        marks.append(pytest.mark.faults)
    return pytest.param(Cell(fault, cache), id=f"{fault.name}-{cache}", marks=marks)
