"""The suite of Big Segment stores finds what is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flagkeep._async.interfaces import AsyncBigSegmentStore
from flagkeep._async.stores.dynamodb_big_segments import AsyncDynamoDBBigSegmentStore
from flagkeep._async.stores.redis_big_segments import AsyncRedisBigSegmentStore
from flagkeep._async.stores.sqlite_big_segments import AsyncSQLiteBigSegmentStore
from flagkeep.storage.big_segments import BigSegmentMetadata
from tests._async.big_segment_backends import in_redis
from tests._async.big_segment_suite import CHECKS, NAMES, Backend
from tests._async.waiting import pause


class Wrong:
    """A store that can be told to do one thing wrong."""

    takes_timeout = True

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.name, self.label = inner.name, inner.label

    async def get_metadata(self, *, timeout: float | None = None) -> BigSegmentMetadata:
        metadata: BigSegmentMetadata = await self.inner.get_metadata(timeout=timeout)
        return metadata

    async def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        members: Mapping[str, bool] = await self.inner.get_membership(context_hash, timeout=timeout)
        return members

    async def aclose(self) -> None:
        await self.inner.aclose()


class ReadsTwice(Wrong):
    """Reads one set after the other."""

    async def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        one = await super().get_membership(context_hash, timeout=timeout)
        await pause()
        other = await super().get_membership(context_hash, timeout=timeout)
        return {
            **{name: is_in for name, is_in in other.items() if not is_in},
            **{name: is_in for name, is_in in one.items() if is_in},
        }


class ExcludesLast(Wrong):
    """Whoever is kept out of a segment is out, though he is in it."""

    async def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        members = await super().get_membership(context_hash, timeout=timeout)
        return {name: is_in and name != "a.g1" for name, is_in in members.items()}


class Remembers(Wrong):
    """Asks once only."""

    known: Any = None

    async def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        if self.known is None:
            self.known = await super().get_membership(context_hash, timeout=timeout)
        members: Mapping[str, bool] = self.known
        return members


class NeverLate(Wrong):
    """Takes any store for complete."""

    async def get_metadata(self, *, timeout: float | None = None) -> BigSegmentMetadata:
        metadata = await super().get_metadata(timeout=timeout)
        return BigSegmentMetadata(metadata.last_up_to_date_ms or 0)


class NeverClosed(Wrong):
    """Works on after it was closed."""

    async def aclose(self) -> None:
        return


MISDEEDS = [
    (ReadsTwice, "check_both_sets_are_of_one_moment"),
    (ExcludesLast, "check_what_is_in_both_sets_is_in"),
    (Remembers, "check_each_context_has_its_own"),
    (Remembers, "check_what_others_write_is_seen_at_once"),
    (NeverLate, "check_no_time_or_none_that_is_a_number_is_never"),
    (NeverClosed, "check_closing_twice_is_fine_and_use_afterwards_is_not"),
]


@pytest.mark.parametrize(("kind", "name"), MISDEEDS)
async def test_the_suite_catches(kind: type[Wrong], name: str, redis_url: str) -> None:
    good = in_redis(redis_url)
    opened: list[Any] = []

    def open_store(prefix: str) -> Any:
        opened.append(good.open(prefix))
        return kind(opened[-1])

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await CHECKS[NAMES.index(name)](Backend(open_store, good.writer))
    for store in opened:
        await store.aclose()


async def test_the_suite_catches_a_store_without_prefixes(redis_url: str) -> None:
    good = in_redis(redis_url)
    one = good.open("p")
    check = CHECKS[NAMES.index("check_prefixes_are_isolated")]
    with pytest.raises(AssertionError):
        await check(Backend(lambda prefix: NeverClosed(one), good.writer))  # noqa: ARG005
    await one.aclose()


@pytest.mark.extras
def test_all_are_big_segment_stores(tmp_path: Path) -> None:
    stores: list[AsyncBigSegmentStore] = [
        AsyncRedisBigSegmentStore(),
        AsyncSQLiteBigSegmentStore(tmp_path / "f.db"),
        AsyncDynamoDBBigSegmentStore("flags"),
    ]
    assert [store.name for store in stores] == ["redis", "sqlite", "dynamodb"]
