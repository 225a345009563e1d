"""What every Big Segment store must do: one list of checks for all backends, in both colours.

A backend brings a function that opens a store for a prefix, and one that makes something which
fills the same database by hand.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from flagkeep._async.interfaces import AsyncBigSegmentStore
from flagkeep._runtime import aio as runtime
from flagkeep.errors import StoreClosed
from flagkeep.storage.big_segments import hash_of
from tests.servers.big_segments import Writer

HASH = hash_of("user-key")
ODD_REFERENCES = (
    "a:b.g1", " .g0", "é.g1", "日本.g2", "🚀.g3", "'; DROP TABLE big_segments; --", '"', "\\",
)  # fmt: skip
NO_TIMES = (
    "", " ", "?", "-1", "1.5", "1e12", "0x10", "1_000", " 17", "17 ", "\u0661\u0667", "\0",
    "9" * 19, "9" * 400, "nan", "inf",
)  # fmt: skip
READS = 100
PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Backend:
    """How the checks get at stores.

    Attributes:
        open: returns a store for a prefix; the caller closes it.
        writer: returns what fills an environment, `p` if nothing else is said.
    """

    open: Callable[[str], Any]
    writer: Callable[[str], Writer]


async def check_who_is_in_and_who_is_out(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    writer.put(HASH, ["a.g1", "b.g2"], ["c.g1"])
    assert await store.get_membership(HASH) == {"a.g1": True, "b.g2": True, "c.g1": False}
    assert await store.get_membership(HASH, timeout=30.0) == await store.get_membership(HASH)
    await store.aclose()


async def check_either_set_may_be_missing(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    writer.put(HASH, ["a.g1"], [])
    assert await store.get_membership(HASH) == {"a.g1": True}
    writer.put(HASH, [], ["a.g1"])
    assert await store.get_membership(HASH) == {"a.g1": False}
    writer.put(HASH, [], [])
    assert not await store.get_membership(HASH)
    await store.aclose()


async def check_what_is_in_both_sets_is_in(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    writer.put(HASH, ["a.g1", "z.g1"], ["a.g1", "b.g1", "z.g1"])
    assert await store.get_membership(HASH) == {"a.g1": True, "z.g1": True, "b.g1": False}
    await store.aclose()


async def check_each_context_has_its_own(backend: Backend) -> None:
    """The hashes are those of the stores spec, section 12; they hold all that base64 has."""
    writer, store = backend.writer("p"), backend.open("p")
    keys = ("userkey", "user-key", "a", "Ünïcode", "", "\ud800")
    for key in keys:
        writer.put(hash_of(key), [f"{len(key)}.g1"], [])
    assert hash_of("a") == "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="
    for key in keys:
        assert await store.get_membership(hash_of(key)) == {f"{len(key)}.g1": True}
    for unknown in ("nobody", hash_of("nobody"), HASH.rstrip("="), HASH.swapcase(), ""):
        assert not await store.get_membership(unknown)
    await store.aclose()


async def check_any_reference_comes_back_as_it_is(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    writer.put(HASH, ODD_REFERENCES[::2], ODD_REFERENCES[1::2])
    expected = {name: number % 2 == 0 for number, name in enumerate(ODD_REFERENCES)}
    assert await store.get_membership(HASH) == expected
    await store.aclose()


async def check_a_context_may_be_in_many_segments(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    included, excluded = ([f"{side}-{n}.g1" for n in range(4000)] for side in ("in", "out"))
    writer.put(HASH, included, excluded)
    expected = {**dict.fromkeys(included, True), **dict.fromkeys(excluded, False)}
    assert await store.get_membership(HASH) == expected
    await store.aclose()


async def check_a_name_that_cannot_be_stored_is_nobodys(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    writer.put(HASH, ["a.g1"], [])
    assert not await store.get_membership("\ud800")
    await store.aclose()


async def check_the_time_is_told_in_milliseconds(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    for time in (0, 1, 1700000000123):
        writer.synchronized(str(time))
        assert (await store.get_metadata()).last_up_to_date_ms == time
    assert (await store.get_metadata(timeout=30.0)).last_up_to_date_ms == 1700000000123
    await store.aclose()


async def check_no_time_or_none_that_is_a_number_is_never(backend: Backend) -> None:
    """The stores spec, section 15, B2: the official SDK raises for some of these."""
    writer, store = backend.writer("p"), backend.open("p")
    writer.put(HASH, ["a.g1"], [])
    assert (await store.get_metadata()).last_up_to_date_ms is None
    for text in NO_TIMES:
        writer.synchronized("1700000000123")
        writer.synchronized(text)
        assert (await store.get_metadata()).last_up_to_date_ms is None, text
    writer.synchronized("1700000000123")
    writer.synchronized(None)
    assert (await store.get_metadata()).last_up_to_date_ms is None
    await store.aclose()


async def check_prefixes_are_isolated(backend: Backend) -> None:
    prefixes = ("p", "p:big_segment_include", "P", "pp", "é")
    stores = {prefix: backend.open(prefix) for prefix in prefixes}
    for number, prefix in enumerate(prefixes):
        writer = backend.writer(prefix)
        writer.put(HASH, [f"{prefix}.g1"], [])
        writer.synchronized(str(number))
    for number, (prefix, store) in enumerate(stores.items()):
        assert await store.get_membership(HASH) == {f"{prefix}.g1": True}
        assert (await store.get_metadata()).last_up_to_date_ms == number
        await store.aclose()


async def check_what_others_write_is_seen_at_once(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    for number in range(20):
        writer.put(HASH, [f"a.g{number}"], [])
        writer.synchronized(str(number))
        assert await store.get_membership(HASH) == {f"a.g{number}": True}
        assert (await store.get_metadata()).last_up_to_date_ms == number
    await store.aclose()


async def check_both_sets_are_of_one_moment(backend: Backend) -> None:
    """The stores spec, section 15, B1: who moves from one set to the other is never in neither."""
    writer, store = backend.writer("p"), backend.open("p")
    writer.put(HASH, ["a.g1"], [])
    is_over = threading.Event()

    def move() -> None:
        while not is_over.is_set():
            writer.put(HASH, [], ["a.g1"])
            writer.put(HASH, ["a.g1"], [])

    thread = threading.Thread(target=move)
    thread.start()
    seen: set[bool] = set()
    reads, give_up = 0, runtime.monotonic() + PATIENCE
    try:
        while reads < READS or len(seen) < 2:
            members = await store.get_membership(HASH)
            assert members in ({"a.g1": True}, {"a.g1": False})
            seen.add(members["a.g1"])
            reads += 1
            assert runtime.monotonic() < give_up, "the other did not move"
    finally:
        is_over.set()
        thread.join()
    await store.aclose()


async def check_many_may_ask_at_the_same_time(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    hashes = [hash_of(f"user-{number}") for number in range(10)]
    for number, hashed in enumerate(hashes):
        writer.put(hashed, [f"a.g{number}"], [])
    seen: list[tuple[int, Any]] = []

    async def ask(number: int) -> None:
        for _ in range(5):
            seen.append((number, await store.get_membership(hashes[number])))
            await store.get_metadata()

    tasks = [runtime.spawn("test", partial(ask, number)) for number in range(10)]
    for task in tasks:
        assert await task.join(30)
    assert len(seen) == 50
    assert all(members == {f"a.g{number}": True} for number, members in seen)
    await store.aclose()


async def check_closing_twice_is_fine_and_use_afterwards_is_not(backend: Backend) -> None:
    writer, store = backend.writer("p"), backend.open("p")
    writer.put(HASH, ["a.g1"], [])
    assert await store.get_membership(HASH) == {"a.g1": True}
    await store.aclose()
    await store.aclose()
    for ask in (store.get_metadata, lambda: store.get_membership(HASH)):
        with pytest.raises(StoreClosed):
            await ask()
    unused = backend.open("p")
    await unused.aclose()
    with pytest.raises(StoreClosed):
        await unused.get_metadata()


async def check_it_says_what_it_is(backend: Backend) -> None:
    store: AsyncBigSegmentStore = backend.open("p")
    assert store.name in {"redis", "sqlite", "dynamodb"}
    label: str = getattr(store, "label", "")
    assert label.startswith(store.name)
    assert getattr(store, "takes_timeout", False) is True
    await store.aclose()


CHECKS = [value for name, value in globals().items() if name.startswith("check_")]
NAMES = [check.__name__ for check in CHECKS]
