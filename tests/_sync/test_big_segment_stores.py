"""The suite of Big Segment stores finds what is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flagkeep._sync.interfaces import BigSegmentStore
from flagkeep._sync.stores.dynamodb_big_segments import DynamoDBBigSegmentStore
from flagkeep._sync.stores.redis_big_segments import RedisBigSegmentStore
from flagkeep._sync.stores.sqlite_big_segments import SQLiteBigSegmentStore
from flagkeep.storage.big_segments import BigSegmentMetadata
from tests._sync.big_segment_backends import in_redis
from tests._sync.big_segment_suite import CHECKS, NAMES, Backend
from tests._sync.waiting import pause


class Wrong:
    """A store that can be told to do one thing wrong."""

    takes_timeout = True

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.name, self.label = inner.name, inner.label

    def get_metadata(self, *, timeout: float | None = None) -> BigSegmentMetadata:
        metadata: BigSegmentMetadata = self.inner.get_metadata(timeout=timeout)
        return metadata

    def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        members: Mapping[str, bool] = self.inner.get_membership(context_hash, timeout=timeout)
        return members

    def close(self) -> None:
        self.inner.close()


class ReadsTwice(Wrong):
    """Reads one set after the other."""

    def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        one = super().get_membership(context_hash, timeout=timeout)
        pause()
        other = super().get_membership(context_hash, timeout=timeout)
        return {
            **{name: is_in for name, is_in in other.items() if not is_in},
            **{name: is_in for name, is_in in one.items() if is_in},
        }


class ExcludesLast(Wrong):
    """Whoever is kept out of a segment is out, though he is in it."""

    def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        members = super().get_membership(context_hash, timeout=timeout)
        return {name: is_in and name != "a.g1" for name, is_in in members.items()}


class Remembers(Wrong):
    """Asks once only."""

    known: Any = None

    def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        if self.known is None:
            self.known = super().get_membership(context_hash, timeout=timeout)
        members: Mapping[str, bool] = self.known
        return members


class NeverLate(Wrong):
    """Takes any store for complete."""

    def get_metadata(self, *, timeout: float | None = None) -> BigSegmentMetadata:
        metadata = super().get_metadata(timeout=timeout)
        return BigSegmentMetadata(metadata.last_up_to_date_ms or 0)


class NeverClosed(Wrong):
    """Works on after it was closed."""

    def close(self) -> None:
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
def test_the_suite_catches(kind: type[Wrong], name: str, redis_url: str) -> None:
    good = in_redis(redis_url)
    opened: list[Any] = []

    def open_store(prefix: str) -> Any:
        opened.append(good.open(prefix))
        return kind(opened[-1])

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        CHECKS[NAMES.index(name)](Backend(open_store, good.writer))
    for store in opened:
        store.close()


def test_the_suite_catches_a_store_without_prefixes(redis_url: str) -> None:
    good = in_redis(redis_url)
    one = good.open("p")
    check = CHECKS[NAMES.index("check_prefixes_are_isolated")]
    with pytest.raises(AssertionError):
        check(Backend(lambda prefix: NeverClosed(one), good.writer))  # noqa: ARG005
    one.close()


@pytest.mark.extras
def test_all_are_big_segment_stores(tmp_path: Path) -> None:
    stores: list[BigSegmentStore] = [
        RedisBigSegmentStore(),
        SQLiteBigSegmentStore(tmp_path / "f.db"),
        DynamoDBBigSegmentStore("flags"),
    ]
    assert [store.name for store in stores] == ["redis", "sqlite", "dynamodb"]
