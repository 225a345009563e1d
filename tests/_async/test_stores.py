"""The suite over every store, and over stores that misbehave."""

import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagkeep._async.interfaces import AsyncFeatureStore
from flagkeep._async.stores.consul import AsyncConsulStore
from flagkeep._async.stores.dynamodb import AsyncDynamoDBStore
from flagkeep._async.stores.memory import AsyncMemoryStore
from flagkeep._async.stores.redis import AsyncRedisStore
from flagkeep._async.stores.sqlite import AsyncSQLiteStore
from flagkeep.errors import ConfigError
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.contents import StoreContents, WriterRecord
from flagkeep.storage.items import without_unstorable
from tests._async.dynamodb_stores import store_at
from tests._async.store_suite import CHECKS, Backend, flag, full, part
from tests._async.waiting import pause

NAMES = [check.__name__ for check in CHECKS]
NO_TEXT = frozenset(["\ud800"])


def in_memory(kind: type[AsyncMemoryStore]) -> Backend:
    """A store of this kind has its data in itself, so the same one is opened again."""
    stores: defaultdict[str, AsyncMemoryStore] = defaultdict(kind)
    return Backend(lambda prefix: stores[prefix])


def in_sqlite(folder: Path) -> Backend:
    return Backend(
        lambda prefix: AsyncSQLiteStore(folder / "flags.db", prefix=prefix), refuses=NO_TEXT
    )


def in_redis(url: str) -> Backend:
    return Backend(lambda prefix: AsyncRedisStore(url, prefix=prefix), refuses=NO_TEXT)


def in_dynamodb(url: str, table: str) -> Backend:
    no_sort_keys = {"", "x" * 2000}
    return Backend(
        lambda prefix: store_at(url, table, prefix=prefix), refuses=NO_TEXT | no_sort_keys
    )


def in_consul(url: str, prefix: str) -> Backend:
    return Backend(lambda name: AsyncConsulStore(url, prefix=f"{prefix}{name}"), refuses=NO_TEXT)


@pytest.mark.parametrize("name", NAMES)
async def test_memory(name: str) -> None:
    await CHECKS[NAMES.index(name)](in_memory(AsyncMemoryStore))


@pytest.mark.parametrize("name", NAMES)
async def test_sqlite(name: str, tmp_path: Path) -> None:
    await CHECKS[NAMES.index(name)](in_sqlite(tmp_path))


@pytest.mark.parametrize("name", NAMES)
async def test_redis(name: str, redis_url: str) -> None:
    await CHECKS[NAMES.index(name)](in_redis(redis_url))


@pytest.mark.parametrize("name", NAMES)
async def test_dynamodb(name: str, dynamodb_url: str, dynamodb_table: str) -> None:
    await CHECKS[NAMES.index(name)](in_dynamodb(dynamodb_url, dynamodb_table))


@pytest.mark.parametrize("name", NAMES)
async def test_consul(name: str, consul_url: str, consul_prefix: str) -> None:
    await CHECKS[NAMES.index(name)](in_consul(consul_url, consul_prefix))


def states(versions: list[int]) -> list[SerializedItem]:
    return [
        tombstone(Kind.FLAG, "a", version) if version % 3 == 0 else flag("a", version)
        for version in versions
    ]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 20), min_size=1), min_size=1, max_size=3))
def test_any_interleaving_of_upserts_ends_in_the_newest(sequences: list[list[int]]) -> None:
    # Both colours of a store do the same through one session, which is what is driven here.
    from flagkeep._runtime.sqlite import SQLiteSession  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        sessions = [
            SQLiteSession(Path(folder) / "flags.db", prefix="", busy_timeout=1) for _ in sequences
        ]
        for step in range(max(map(len, sequences))):
            for session, versions in zip(sessions, sequences, strict=True):
                for state in states(versions[step : step + 1]):
                    session.upsert(part({"a": state}))
        newest = max(version for versions in sequences for version in versions)
        assert sessions[0].get_all().flags == {"a": states([newest])[0]}
        for session in sessions:
            session.close()


@pytest.mark.parametrize("path", ["", ":memory:", "file:flags.db", "a\0b"])
def test_a_path_that_names_no_file_is_refused_at_once(path: str) -> None:
    with pytest.raises(ConfigError, match="path"):
        AsyncSQLiteStore(path)


@pytest.mark.parametrize("timeout", [-1.0, float("nan"), float("inf")])
def test_a_busy_timeout_that_cannot_work_is_refused_at_once(timeout: float) -> None:
    with pytest.raises(ConfigError, match="busy_timeout"):
        AsyncSQLiteStore("flags.db", busy_timeout=timeout)


def test_a_prefix_that_cannot_be_stored_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="prefix"):
        AsyncSQLiteStore("flags.db", prefix="\ud800")


# --- the suite finds what is wrong ------------------------------------------------------------


class LastWins(AsyncMemoryStore):
    """Takes every update, however old."""

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        contents = await self.get_all()
        await super().replace(full(contents.flags | dict(changes.flags)))
        return {}


class Merges(AsyncMemoryStore):
    """Does not remove what is absent from a full set."""

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        contents = await self.get_all()
        await super().replace(full(contents.flags | dict(changes.flags)), record)


class Forgets(AsyncMemoryStore):
    """Takes a tombstone for nothing at all."""

    async def get_all(self, *, timeout: float | None = None) -> StoreContents:  # noqa: ARG002
        contents = await super().get_all()
        live = {key: item for key, item in contents.flags.items() if not item.deleted}
        return StoreContents(contents.initialized, live, contents.segments)


class Silent(AsyncMemoryStore):
    """Does not say what it refused."""

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        await super().upsert(changes)
        return {}


class AlwaysMarked(AsyncMemoryStore):
    """Believes to be initialized from the start."""

    async def is_initialized(self, *, timeout: float | None = None) -> bool:  # noqa: ARG002
        return True


class NeverClosed(AsyncMemoryStore):
    """Works on after it was closed."""

    async def aclose(self) -> None:
        return


class Mute(AsyncMemoryStore):
    """Claims to tell of changes, and does not."""

    poll_interval = 0.1


class Rewrites(AsyncMemoryStore):
    """Stores another text than it was given."""

    async def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        found = await super().get_many(wanted, timeout=timeout)
        return {
            ref: SerializedItem(item.version, item.deleted, item.data.strip())
            for ref, item in found.items()
        }


class Fussy(AsyncMemoryStore):
    """Takes nothing at all if it cannot take everything."""

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        if "" not in changes.flags:
            await super().replace(changes, record)


class Loses(AsyncMemoryStore):
    """Leaves out what other stores cannot take, and says nothing."""

    async def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        await super().replace(without_unstorable(changes)[0], record)


class OneBatch(AsyncMemoryStore):
    """Asks for one batch of items only."""

    async def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        return await super().get_many(list(wanted)[:100], timeout=timeout)


class Hasty(AsyncMemoryStore):
    """Writes what it has read a moment ago, with the news in it."""

    async def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        contents = await self.get_all()
        await pause()
        old = contents.flags
        refused = {
            ref_of(key): old[key]
            for key, item in changes.flags.items()
            if key in old and old[key].version >= item.version
        }
        newer = {key: changes.flags[key] for key in changes.flags if ref_of(key) not in refused}
        await super().replace(full(old | newer))
        return refused


def ref_of(key: str) -> ItemRef:
    return ItemRef(Kind.FLAG, key)


MISDEEDS = [
    (LastWins, "check_only_newer_items_are_taken_and_the_others_are_returned"),
    (LastWins, "check_any_order_of_upserts_ends_in_the_newest"),
    (LastWins, "check_a_write_between_read_and_write_is_not_lost"),
    (Merges, "check_replace_ignores_versions_and_removes_the_rest"),
    (Forgets, "check_a_tombstone_keeps_older_updates_out"),
    (Silent, "check_an_unknown_item_may_arrive_as_a_tombstone"),
    (AlwaysMarked, "check_only_a_full_set_sets_the_marker"),
    (NeverClosed, "check_closing_twice_is_fine_and_use_afterwards_is_not"),
    (Mute, "check_a_poll_names_what_others_changed"),
    (Rewrites, "check_the_text_is_kept_to_the_letter"),
    (Fussy, "check_odd_keys_come_back_and_those_that_cannot_be_stored_hide_no_other"),
    (Loses, "check_what_is_not_stored_is_named_for_as_long_as_that_is_so"),
    (OneBatch, "check_hundreds_of_items_are_as_good_as_one"),
    (Hasty, "check_many_may_use_it_at_the_same_time"),
]


@pytest.mark.parametrize(("kind", "name"), MISDEEDS)
async def test_the_suite_catches(kind: type[AsyncMemoryStore], name: str) -> None:
    check = CHECKS[NAMES.index(name)]
    with pytest.raises((AssertionError, KeyError, pytest.fail.Exception)):
        await check(in_memory(kind))


async def test_the_suite_catches_a_store_without_prefixes() -> None:
    one = AsyncMemoryStore()
    check = CHECKS[NAMES.index("check_prefixes_are_isolated")]
    with pytest.raises(AssertionError):
        await check(Backend(lambda prefix: one))  # noqa: ARG005  that is what is wrong with it


@pytest.mark.extras
def test_all_stores_are_feature_stores(tmp_path: Path) -> None:
    stores: list[AsyncFeatureStore] = [
        AsyncMemoryStore(),
        AsyncSQLiteStore(tmp_path / "f.db"),
        AsyncRedisStore(),
        AsyncDynamoDBStore("flags"),
        AsyncConsulStore(),
    ]
    names = ["memory", "sqlite", "redis", "dynamodb", "consul"]
    assert [store.name for store in stores] == names
