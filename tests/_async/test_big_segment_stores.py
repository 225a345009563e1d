"""The suite over every Big Segment store, over stores that misbehave, and what is particular."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flagkeep._async.client import AsyncClient
from flagkeep._async.interfaces import AsyncBigSegmentStore
from flagkeep._async.stores.dynamodb_big_segments import AsyncDynamoDBBigSegmentStore
from flagkeep._async.stores.redis_big_segments import AsyncRedisBigSegmentStore
from flagkeep._async.stores.sqlite import AsyncSQLiteStore
from flagkeep._async.stores.sqlite_big_segments import AsyncSQLiteBigSegmentStore
from flagkeep._runtime import aio as runtime
from flagkeep._runtime import redis_aio
from flagkeep._runtime.redis_errors import BIG_SEGMENTS_ACL
from flagkeep.config import BigSegmentSettings, Config
from flagkeep.errors import ConfigError, StoreCorrupt, StoreMissing, StoreUnavailable
from flagkeep.model.context import Context
from flagkeep.storage.big_segments import (
    UNAVAILABLE,
    BigSegmentMetadata,
    BigSegmentStoreStatus,
    hash_of,
)
from tests._async.big_segment_suite import CHECKS, HASH, Backend
from tests._async.hand_source import AsyncHandSource, environment
from tests._async.segment_store import AsyncAsking
from tests._async.store_suite import flags, full, part
from tests._async.waiting import pause, until
from tests.limits import check_within
from tests.servers import dynamodb
from tests.servers.big_segments import DynamoDBWriter, RedisWriter, SQLiteWriter
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.proxy import FaultProxy
from tests.servers.redis import RedisServer
from tests.servers.server import free_port

NAMES = [check.__name__ for check in CHECKS]
SECRET = "hunter2-%3A/secret"
HEALTHY = BigSegmentStoreStatus(available=True, stale=False)
USER = Context.create("user-key")


def in_redis(url: str) -> Backend:
    return Backend(
        lambda prefix: AsyncRedisBigSegmentStore(url, prefix=prefix),
        lambda prefix: RedisWriter(url, prefix),
    )


def in_sqlite(folder: Path) -> Backend:
    path = folder / "flags.db"
    return Backend(
        lambda prefix: AsyncSQLiteBigSegmentStore(path, prefix=prefix),
        lambda prefix: SQLiteWriter(path, prefix),
    )


def in_dynamodb(url: str, table: str) -> Backend:
    return Backend(
        lambda prefix: AsyncDynamoDBBigSegmentStore(table, prefix=prefix, **at(url)),
        lambda prefix: DynamoDBWriter(url, table, prefix),
    )


def at(url: str) -> Any:
    """Return where a DynamoDB Local is, and how to get in."""
    return {
        "endpoint": url,
        "region": dynamodb.REGION,
        "access_key_id": dynamodb.ACCESS_KEY_ID,
        "secret_access_key": dynamodb.SECRET_ACCESS_KEY,
    }


@pytest.mark.parametrize("name", NAMES)
async def test_redis(name: str, redis_url: str) -> None:
    await CHECKS[NAMES.index(name)](in_redis(redis_url))


@pytest.mark.parametrize("name", NAMES)
async def test_sqlite(name: str, tmp_path: Path) -> None:
    backend = in_sqlite(tmp_path)
    backend.writer("p")  # there is a file
    await CHECKS[NAMES.index(name)](backend)


@pytest.mark.extras
@pytest.mark.parametrize("name", NAMES)
async def test_dynamodb(name: str, dynamodb_url: str, dynamodb_table: str) -> None:
    await CHECKS[NAMES.index(name)](in_dynamodb(dynamodb_url, dynamodb_table))


# --- the suite finds what is wrong ----------------------------------------------------------------


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


# --- Redis ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_server() -> Iterator[RedisServer]:
    """A server for this module, which may be stopped and misused."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(own_server: RedisServer) -> Iterator[RedisServer]:
    """The same, empty, and as it was once the test is over."""
    if own_server.pid is None:
        own_server.start()
    own_server.cli("FLUSHALL")
    yield own_server
    if own_server.pid is None:
        own_server.start()
    own_server.resume()
    own_server.cli("CONFIG", "SET", "maxmemory", "0")
    for name in own_server.cli("ACL", "USERS"):
        if name != b"default":
            own_server.cli("ACL", "DELUSER", name)


def now_ms() -> str:
    return str(int(runtime.wall_time() * 1000))


async def test_the_prefix_is_that_of_every_sdk_unless_told_otherwise(server: RedisServer) -> None:
    RedisWriter(server.url, "launchdarkly").put(HASH, ["a.g1"], [])
    for store in (
        AsyncRedisBigSegmentStore(server.url),
        AsyncRedisBigSegmentStore(server.url, prefix=""),
    ):
        assert await store.get_membership(HASH) == {"a.g1": True}
        await store.aclose()


async def test_nothing_but_two_reads_in_one_transaction_is_asked(server: RedisServer) -> None:
    store = AsyncRedisBigSegmentStore(server.url, prefix="p")
    server.cli("CONFIG", "RESETSTAT")
    await store.get_membership(HASH)
    await store.get_metadata()
    stats = server.cli("INFO", "commandstats").decode()
    calls = {
        line.split(":")[0].removeprefix("cmdstat_"): line.split("calls=")[1].split(",")[0]
        for line in stats.splitlines()
        if line.startswith("cmdstat_") and "info" not in line and "config" not in line
    }
    assert calls == {"multi": "1", "smembers": "2", "exec": "1", "get": "1"}
    assert server.cli("DBSIZE") == 0
    await store.aclose()


async def test_members_that_are_no_text_are_left_out(server: RedisServer) -> None:
    server.cli("SADD", f"p:big_segment_include:{HASH}", b"\xff", "a.g1")
    store = AsyncRedisBigSegmentStore(server.url, prefix="p")
    assert await store.get_membership(HASH) == {"a.g1": True}
    await store.aclose()


async def test_a_key_of_another_type_is_named_and_harms_no_other(server: RedisServer) -> None:
    store = AsyncRedisBigSegmentStore(server.url, prefix="p")
    RedisWriter(server.url, "p").put(hash_of("other"), ["a.g1"], [])
    server.cli("SET", f"p:big_segment_exclude:{HASH}", "x")
    server.cli("SADD", "p:big_segments_synchronized_on", "x")
    with pytest.raises(StoreCorrupt, match="p:big_segment_exclude:"):
        await store.get_membership(HASH)
    with pytest.raises(StoreCorrupt, match="p:big_segments_synchronized_on"):
        await store.get_metadata()
    assert await store.get_membership(hash_of("other")) == {"a.g1": True}
    await store.aclose()


async def test_it_reads_where_the_memory_is_full(server: RedisServer) -> None:
    RedisWriter(server.url, "p").put(HASH, ["a.g1"], ["b.g1"])
    store = AsyncRedisBigSegmentStore(server.url, prefix="p")
    server.cli("CONFIG", "SET", "maxmemory", "1")
    assert await store.get_membership(HASH) == {"a.g1": True, "b.g1": False}
    assert (await store.get_metadata()).last_up_to_date_ms is None
    await store.aclose()


async def test_a_user_with_the_rights_that_are_documented_can_read(server: RedisServer) -> None:
    RedisWriter(server.url, "p").put(HASH, ["a.g1"], [])
    RedisWriter(server.url[:-1] + "3", "p").put(HASH, ["a.g3"], [])
    rights = BIG_SEGMENTS_ACL.replace("~P:", "~p:").split()
    server.cli("ACL", "SETUSER", "reader", "on", ">pw", *rights)
    for database, expected in ((0, "a.g1"), (3, "a.g3")):
        store = AsyncRedisBigSegmentStore(
            server.url, prefix="p", username="reader", password="pw", database=database
        )
        assert await store.get_membership(HASH) == {expected: True}
        await store.get_metadata()
        server.cli("CONFIG", "SET", "maxmemory", "1")
        assert await store.get_membership(HASH) == {expected: True}
        server.cli("CONFIG", "SET", "maxmemory", "0")
        await store.aclose()


@pytest.mark.parametrize("missing", ["get", "smembers", "multi", "exec"])
async def test_a_right_that_is_missing_is_said(server: RedisServer, missing: str) -> None:
    rights = BIG_SEGMENTS_ACL.replace("~P:", "~p:").split()
    server.cli("ACL", "SETUSER", "reader", "on", ">pw", *rights, f"-{missing}")
    store = AsyncRedisBigSegmentStore(server.url, prefix="p", username="reader", password="pw")
    with pytest.raises(StoreUnavailable, match=r"needs ~P:big_segment\* .*\+smembers"):
        await (store.get_metadata() if missing == "get" else store.get_membership(HASH))
    await store.aclose()


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_given_client_is_used_and_never_closed(server: RedisServer, protocol: int) -> None:
    client = redis_aio.Client.from_url(server.url, protocol=protocol, decode_responses=True)
    RedisWriter(server.url, "p").put(HASH, ["a.g1"], ["b.g1"])
    for given in ({"client": client}, {"pool": client.connection_pool}):
        store = AsyncRedisBigSegmentStore(prefix="p", **given)
        assert await store.get_membership(HASH) == {"a.g1": True, "b.g1": False}
        assert (await store.get_metadata()).last_up_to_date_ms is None
        await store.aclose()
    assert await client.ping()
    await client.aclose()


@pytest.mark.slow
async def test_a_server_of_a_cluster_asks_for_a_hash_tag() -> None:
    bus = str(free_port())  # by default its number is 10,000 higher, which may be too high
    with RedisServer("--cluster-enabled", "yes", "--cluster-port", bus) as server:
        server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        await until(lambda: b"cluster_state:ok" in server.cli("CLUSTER", "INFO"))
        plain = AsyncRedisBigSegmentStore(server.url)
        with pytest.raises(StoreUnavailable, match=r"hash tag such as \{launchdarkly\}"):
            await plain.get_membership(HASH)
        tagged = AsyncRedisBigSegmentStore(server.url, prefix="{ld}.launchdarkly")
        assert not await tagged.get_membership(HASH)
        for store in (plain, tagged):
            await store.aclose()


async def test_secrets_are_shown_nowhere(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    door = server.url.removeprefix("redis://")
    store = AsyncRedisBigSegmentStore(f"redis://me:{SECRET.replace('/', '%2F')}@{door}")
    with pytest.raises(StoreUnavailable) as caught:
        await store.get_membership(HASH)
    error: BaseException | None = caught.value
    said = [repr(store), repr(vars(store)), repr(vars(caught.value)), caplog.text]
    while error is not None:
        said.append(f"{error}{error.args}")
        error = error.__cause__ or error.__context__
    assert "hunter2" not in "".join(said)
    assert "user name and password" in str(caught.value)
    await store.aclose()
    assert repr(AsyncRedisBigSegmentStore("redis://me:pw@[::1]:7000/5", prefix="p")) == (
        "<AsyncRedisBigSegmentStore redis [::1]:7000/5 prefix='p'>"
    )


async def test_a_server_that_hangs_is_not_waited_for_beyond_the_timeout(
    server: RedisServer,
) -> None:
    store = AsyncRedisBigSegmentStore(server.url, timeout=30.0)
    server.pause()
    for ask in (
        lambda: store.get_membership(HASH, timeout=0.1),
        lambda: store.get_metadata(timeout=0.1),
    ):
        begun = runtime.monotonic()
        with pytest.raises(StoreUnavailable, match=r"no answer within 0\.1 s"):
            await ask()
        check_within(10.0, since=begun)
    server.resume()
    assert not await store.get_membership(HASH)
    await store.aclose()


async def test_a_connection_that_was_lost_is_replaced_without_a_word(server: RedisServer) -> None:
    RedisWriter(server.url, "p").put(HASH, ["a.g1"], [])
    store = AsyncRedisBigSegmentStore(server.url, prefix="p")
    assert await store.get_membership(HASH) == {"a.g1": True}
    server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await store.get_membership(HASH) == {"a.g1": True}
    await store.aclose()


async def test_half_an_answer_is_none(server: RedisServer) -> None:
    RedisWriter(server.url, "p").put(HASH, [f"a.g{number}" for number in range(1000)], [])
    with FaultProxy(server.port) as proxy:
        url = server.url.replace(str(server.port), str(proxy.port))
        store = AsyncRedisBigSegmentStore(url, prefix="p")
        proxy.cut_after(3000)
        with pytest.raises(StoreUnavailable):
            await store.get_membership(HASH)
        proxy.pass_on()
        assert len(await store.get_membership(HASH)) == 1000
        await store.aclose()


@pytest.mark.parametrize(
    "given", [{"url": "http://x"}, {"prefix": "\ud800"}, {"timeout": 0}, {"max_connections": 0}]
)
def test_what_cannot_work_is_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        AsyncRedisBigSegmentStore(**given)


# --- SQLite ---------------------------------------------------------------------------------------


async def test_what_the_store_writes_is_what_its_layout_says(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    store = AsyncSQLiteBigSegmentStore(path, prefix="p")
    with pytest.raises(StoreMissing, match="holds no store yet"):
        await store.get_membership(HASH)
    with pytest.raises(StoreMissing):
        await store.get_metadata()
    assert not path.exists()
    await store.put_membership(HASH, ["a.g1", "b.g1"], ["b.g1", "c.g1"])
    await store.put_membership(hash_of("other"), {"a.g1"}, ())
    await store.set_synchronized_on(17)
    assert set(rows(path, "SELECT * FROM big_segments")) == {
        ("p", HASH, "a.g1", 1),
        ("p", HASH, "b.g1", 0),
        ("p", HASH, "b.g1", 1),
        ("p", HASH, "c.g1", 0),
        ("p", hash_of("other"), "a.g1", 1),
    }
    assert rows(path, "SELECT * FROM meta WHERE prefix = 'p'") == [
        ("p", "big_segments_synchronized_on", "17")
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    assert await store.get_membership(HASH) == {"a.g1": True, "b.g1": True, "c.g1": False}
    assert (await store.get_metadata()).last_up_to_date_ms == 17
    await store.put_membership(HASH, (), ())
    await store.set_synchronized_on(None)
    assert await store.get_membership(HASH) == {}
    assert await store.get_membership(hash_of("other")) == {"a.g1": True}
    assert (await store.get_metadata()).last_up_to_date_ms is None
    await store.aclose()


def rows(path: Path, query: str) -> list[Any]:
    """Return what another program sees."""
    seen = run("print(json.dumps(connection.execute(sys.argv[2]).fetchall()))", path, query)
    return [tuple(row) for row in json.loads(seen)]


def run(program: str, *arguments: object) -> str:
    """Run a program in another process, and return what it prints."""
    begin = "import json, sqlite3, sys; connection = sqlite3.connect(sys.argv[1])\n"
    command = [sys.executable, "-c", begin + program, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


async def test_what_another_process_writes_is_seen(tmp_path: Path) -> None:
    store = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db", prefix="p")
    await store.put_membership(HASH, ["a.g1"], [])
    reader = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db", prefix="p")
    assert await reader.get_membership(HASH) == {"a.g1": True}
    program = (
        "from flagkeep.stores import SQLiteBigSegmentStore\n"
        "store = SQLiteBigSegmentStore(sys.argv[1], prefix='p')\n"
        "store.put_membership(sys.argv[2], [], ['a.g1']); store.set_synchronized_on(18)"
    )
    run(program, tmp_path / "flags.db", HASH)
    assert await reader.get_membership(HASH) == {"a.g1": False}
    assert (await reader.get_metadata()).last_up_to_date_ms == 18
    for one in (store, reader):
        await one.aclose()


async def test_flags_and_big_segments_share_a_file_and_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "flags.db"
    store, members = AsyncSQLiteStore(path), AsyncSQLiteBigSegmentStore(path)
    await store.replace(full(flags(a=1)))
    reader = AsyncSQLiteStore(path)
    assert (await reader.get_all()).flags == flags(a=1)
    await members.put_membership(HASH, ["a.g1"], [])
    await members.set_synchronized_on(1)
    assert await reader.poll_changes() is None  # nothing that concerns flags
    assert await store.poll_changes() is None
    await store.upsert(part(flags(a=2)))
    changes = await reader.poll_changes()
    assert changes is not None
    assert changes.refs is not None
    assert [ref.key for ref in changes.refs] == ["a"]
    await store.replace(full({}))
    await store.clear()
    assert await members.get_membership(HASH) == {"a.g1": True}
    assert (await members.get_metadata()).last_up_to_date_ms == 1
    for one in (store, members, reader):
        await one.aclose()


async def test_rows_that_nobody_should_have_written_harm_no_other(tmp_path: Path) -> None:
    writer = SQLiteWriter(tmp_path / "flags.db", "p")
    writer.put(HASH, ["a.g1"], [])
    with writer._connect() as connection:
        for row in ((b"\xff", 1), ("b.g1", 7), ("c.g1", "x"), (b"d.g1", 0), (5, 1)):
            connection.execute("INSERT INTO big_segments VALUES ('p', ?, ?, ?)", (HASH, *row))
    connection.close()
    store = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db", prefix="p")
    assert await store.get_membership(HASH) == {"a.g1": True, "d.g1": False, "5": True}
    await store.aclose()


async def test_a_file_that_is_locked_is_not_waited_for_beyond_the_timeout(tmp_path: Path) -> None:
    store = AsyncSQLiteBigSegmentStore(tmp_path / "flags.db", prefix="p", busy_timeout=0.05)
    await store.put_membership(HASH, ["a.g1"], [])
    writer = SQLiteWriter(tmp_path / "flags.db", "p")._connect()
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        await store.put_membership(HASH, [], [])
    assert await store.get_membership(HASH, timeout=0.1) == {"a.g1": True}
    writer.close()
    await store.put_membership(HASH, [], [])
    assert await store.get_membership(HASH) == {}
    await store.aclose()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    store = AsyncSQLiteBigSegmentStore(path)
    for ask in (
        lambda: store.get_membership(HASH),
        store.get_metadata,
        lambda: store.put_membership(HASH, ["a.g1"], []),
    ):
        with pytest.raises(StoreCorrupt, match="not a SQLite database"):
            await ask()
    path.unlink()
    await store.put_membership(HASH, ["a.g1"], [])
    assert await store.get_membership(HASH) == {"a.g1": True}
    await store.aclose()


@pytest.mark.parametrize(
    "given", [{"path": ":memory:"}, {"prefix": "\ud800"}, {"busy_timeout": -1}]
)
def test_what_cannot_work_in_sqlite_is_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        AsyncSQLiteBigSegmentStore(**{"path": "flags.db", **given})


# --- DynamoDB -------------------------------------------------------------------------------------


@pytest.fixture
def door(dynamodb_url: str) -> Iterator[DynamoDBFaults]:
    """What stands between a store and its DynamoDB."""
    with DynamoDBFaults(dynamodb_url) as faults:
        yield faults


@pytest.mark.extras
async def test_nothing_but_one_strong_read_of_one_row_is_asked(
    dynamodb_table: str, door: DynamoDBFaults
) -> None:
    store = AsyncDynamoDBBigSegmentStore(dynamodb_table, prefix="p", **at(door.url))
    assert await store.get_membership(HASH) == {}
    assert (await store.get_metadata()).last_up_to_date_ms is None
    assert not await store.get_membership("x" * 1025)  # no key is so long
    asked = [json.loads(request.body) for request in door.requests]
    name = {"S": "p:big_segments_metadata"}
    for one, key in zip(
        asked,
        (
            {"namespace": {"S": "p:big_segments_user"}, "key": {"S": HASH}},
            {"namespace": name, "key": name},
        ),
        strict=True,
    ):
        assert one["Key"] == key
        assert one["ConsistentRead"] is True
    assert door.counts == {"GetItem": 2}
    await store.aclose()


@pytest.mark.extras
async def test_a_table_that_is_missing_is_named_with_what_makes_it(dynamodb_url: str) -> None:
    store = AsyncDynamoDBBigSegmentStore("no-such-table", **at(dynamodb_url))
    for ask in (store.get_metadata, lambda: store.get_membership(HASH)):
        with pytest.raises(StoreMissing, match="create-table --table-name no-such-table"):
            await ask()
    await store.aclose()


@pytest.mark.extras
async def test_a_table_with_another_key_is_named(dynamodb_url: str) -> None:
    name = "another-programs"
    dynamodb.create_table(dynamodb_url, name, keys=[("id", "HASH")])
    store = AsyncDynamoDBBigSegmentStore(name, **at(dynamodb_url))
    with pytest.raises(StoreCorrupt, match="partition key namespace"):
        await store.get_membership(HASH)
    await store.aclose()
    dynamodb.drop_table(dynamodb_url, name)


@pytest.mark.extras
async def test_a_permission_that_is_missing_is_said(
    dynamodb_table: str, door: DynamoDBFaults
) -> None:
    door.deny("GetItem")
    store = AsyncDynamoDBBigSegmentStore(dynamodb_table, **at(door.url))
    with pytest.raises(StoreUnavailable, match="dynamodb:GetItem"):
        await store.get_membership(HASH)
    await store.aclose()


@pytest.mark.extras
@pytest.mark.slow
async def test_a_read_that_is_throttled_is_tried_again_while_it_is_worth_it(
    dynamodb_url: str, dynamodb_table: str, door: DynamoDBFaults
) -> None:
    DynamoDBWriter(dynamodb_url, dynamodb_table, "p").put(HASH, ["a.g1"], [])
    store = AsyncDynamoDBBigSegmentStore(dynamodb_table, prefix="p", **at(door.url))
    door.throttle("GetItem", times=2)
    door.fail("GetItem", times=1)
    assert await store.get_membership(HASH, timeout=10.0) == {"a.g1": True}
    assert door.counts == {"GetItem": 4}
    door.throttle("GetItem")
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match="throttled"):
        await store.get_membership(HASH, timeout=0.5)
    check_within(10.0, since=begun)
    assert door.counts["GetItem"] > 5
    door.pass_on()
    assert await store.get_membership(HASH, timeout=10.0) == {"a.g1": True}
    await store.aclose()


@pytest.mark.extras
async def test_a_dynamodb_that_hangs_is_not_waited_for_beyond_the_timeout(
    dynamodb_table: str, door: DynamoDBFaults
) -> None:
    store = AsyncDynamoDBBigSegmentStore(dynamodb_table, timeout=30.0, **at(door.url))
    assert not await store.get_membership(HASH)
    door.hang("GetItem")
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.1 s"):
        await store.get_membership(HASH, timeout=0.1)
    check_within(10.0, since=begun)
    door.pass_on()
    assert not await store.get_membership(HASH)
    await store.aclose()


@pytest.mark.extras
async def test_no_secret_of_dynamodb_is_shown(dynamodb_table: str, door: DynamoDBFaults) -> None:
    door.error("GetItem", "UnrecognizedClientException", message="hunter2 is wrong")
    given = {**at(door.url), "secret_access_key": SECRET, "session_token": SECRET}
    store = AsyncDynamoDBBigSegmentStore(dynamodb_table, prefix="p", **given)
    with pytest.raises(StoreUnavailable) as caught:
        await store.get_membership(HASH)
    error = caught.value
    said = [repr(store), repr(vars(store)), str(error), repr(error.args), repr(vars(error))]
    assert "hunter2" not in "".join(said)
    assert error.__suppress_context__
    assert repr(store).startswith("<AsyncDynamoDBBigSegmentStore dynamodb ")
    assert repr(store).endswith(" prefix='p'>")
    await store.aclose()


@pytest.mark.parametrize(
    "given", [{"table": "a/b"}, {"prefix": "\ud800"}, {"timeout": 0}, {"role": "x"}]
)
@pytest.mark.extras
def test_what_cannot_work_in_dynamodb_is_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        AsyncDynamoDBBigSegmentStore(**{"table": "flags", **given})


# --- a client with a real store -------------------------------------------------------------------


def members_of(folder: Path) -> AsyncSQLiteBigSegmentStore:
    return AsyncSQLiteBigSegmentStore(folder / "flags.db")


async def client_of(store: AsyncBigSegmentStore, **settings: Any) -> AsyncClient:
    """Return a ready client with a flag that is true for members of a Big Segment."""
    source = AsyncHandSource()
    config = Config(source=source, big_segments=BigSegmentSettings(**settings))
    client = AsyncClient(config, big_segment_store=store)
    clause = {"attribute": "", "op": "segmentMatch", "values": ["s"]}
    flag = {
        "key": "f",
        "version": 1,
        "on": True,
        "variations": [False, True],
        "fallthrough": {"variation": 0},
        "offVariation": 0,
        "rules": [{"id": "r", "variation": 1, "clauses": [clause]}],
    }
    segment = {"key": "s", "version": 1, "unbounded": True, "generation": 1}
    await source.deliver(environment(flag, segments=(segment,)))
    assert await client.wait_until_ready()
    return client


async def seen_by(client: AsyncClient, context: Context = USER) -> tuple[Any, Any]:
    detail = await client.variation_detail("f", context, None)
    status = detail.reason.big_segments_status
    return detail.value, None if status is None else status.value


async def until_seen(client: AsyncClient, expected: tuple[Any, Any]) -> None:
    give_up = runtime.monotonic() + 10
    while (seen := await seen_by(client)) != expected:
        assert runtime.monotonic() < give_up, seen
        await pause()


@pytest.mark.slow
async def test_a_redis_that_is_killed_leaves_what_was_known_and_is_found_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    writer = RedisWriter(server.url, "launchdarkly")
    writer.put(HASH, ["s.g1"], [])
    writer.synchronized(now_ms())
    store = AsyncRedisBigSegmentStore(server.url)
    client = await client_of(store, context_cache_time=0.001, status_poll_interval=0.05)
    statuses: list[BigSegmentStoreStatus] = []
    assert await client.big_segment_status() == HEALTHY
    client.on_big_segment_status(statuses.append)
    assert await seen_by(client) == (True, "HEALTHY")
    server.kill()
    await until_seen(client, (True, "STORE_ERROR"))
    assert await seen_by(client, Context.create("never asked")) == (False, "STORE_ERROR")
    await until(lambda: statuses == [UNAVAILABLE])
    server.start()
    writer.put(HASH, [], ["s.g1"])
    writer.synchronized(now_ms())
    await until_seen(client, (False, "HEALTHY"))
    await until(lambda: statuses == [UNAVAILABLE, HEALTHY])
    said = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert said != []
    assert all("cannot connect" in one or "was lost" in one for one in said)
    assert (await client.aclose()).complete


@pytest.mark.extras
@pytest.mark.slow
async def test_a_dynamodb_in_trouble_leaves_what_was_known_and_is_found_again(
    dynamodb_url: str, dynamodb_table: str, door: DynamoDBFaults
) -> None:
    writer = DynamoDBWriter(dynamodb_url, dynamodb_table, "")
    writer.put(HASH, ["s.g1"], [])
    writer.synchronized(now_ms())
    store = AsyncDynamoDBBigSegmentStore(dynamodb_table, **at(door.url))
    assert (await store.get_metadata()).last_up_to_date_ms  # the driver is loaded
    client = await client_of(store, context_cache_time=0.001, status_poll_interval=0.05)
    assert await seen_by(client) == (True, "HEALTHY")
    for begin in (door.lose_answers, door.hang, door.throttle, door.fail):
        begin("GetItem")
        await until_seen(client, (True, "STORE_ERROR"))
        assert await seen_by(client, Context.create("never asked")) == (False, "STORE_ERROR")
        door.pass_on()
        await until_seen(client, (True, "HEALTHY"))
    writer.synchronized(None)
    await until_seen(client, (True, "STALE"))
    assert (await client.aclose()).complete


@pytest.mark.slow
async def test_a_redis_that_hangs_holds_nobody_up_and_is_found_again(server: RedisServer) -> None:
    writer = RedisWriter(server.url, "launchdarkly")
    writer.put(HASH, ["s.g1"], [])
    writer.synchronized(now_ms())
    async with AsyncAsking(
        AsyncRedisBigSegmentStore(server.url), patience=0.4, context_cache_time=0.001
    ) as asking:
        assert (await asking.ask("user-key")).included == {"s.g1": True}
        server.pause()
        await pause()
        begun = runtime.monotonic()
        membership = await asking.ask("user-key")
        assert (membership.status.value, membership.included) == ("STORE_ERROR", {"s.g1": True})
        check_within(4.0, since=begun)
        begun = runtime.monotonic()
        for _ in range(20):
            assert await asking.status_for("nobody") == "STORE_ERROR"
        check_within(4.0, since=begun)  # nobody asks, nobody waits
        server.resume()
        give_up = runtime.monotonic() + 10
        while await asking.status_for("user-key") != "HEALTHY":
            assert runtime.monotonic() < give_up
            await pause()


@pytest.mark.slow
async def test_where_nothing_runs_beside_the_callers_they_wait_no_longer_than_they_may(
    server: RedisServer,
) -> None:
    asking = AsyncAsking(AsyncRedisBigSegmentStore(server.url, timeout=30.0), longest=30.0)
    asking.work.is_pumped = True
    assert (await asking.big.status()).available
    server.pause()
    for keys, seconds in ((("a", "b"), 0.3), (("c",), -1.0)):
        begun = runtime.monotonic()
        found = await asking.big.memberships(keys, begun + seconds)
        assert {one.status.value for one in found.values()} == {"STORE_ERROR"}
        check_within(10.0, since=begun)
    server.resume()
    assert await asking.big.stop(10)


@pytest.mark.slow
async def test_data_that_nobody_brings_up_to_date_is_stale(redis_url: str) -> None:
    writer = RedisWriter(redis_url, "launchdarkly")
    writer.put(HASH, ["s.g1"], [])
    store = AsyncRedisBigSegmentStore(redis_url)
    client = await client_of(store, status_poll_interval=0.02, stale_after=60)
    assert await seen_by(client) == (True, "STALE")
    writer.synchronized(now_ms())
    await until_seen(client, (True, "HEALTHY"))
    writer.synchronized(str(int(now_ms()) - 61_000))
    await until_seen(client, (True, "STALE"))
    writer.synchronized("soon")
    assert await client.big_segment_status() == BigSegmentStoreStatus(available=True, stale=True)
    await client.aclose()


async def test_a_sqlite_file_that_is_gone_leaves_what_was_known(tmp_path: Path) -> None:
    path = tmp_path / "flags.db"
    writer, store = members_of(tmp_path), members_of(tmp_path)
    await writer.put_membership(HASH, ["s.g1"], [])
    await writer.set_synchronized_on(int(now_ms()))
    client = await client_of(store, context_cache_time=0.001, status_poll_interval=0.02)
    assert await seen_by(client) == (True, "HEALTHY")
    await writer.aclose()
    for ending in ("", "-wal", "-shm"):
        path.with_name(f"flags.db{ending}").unlink(missing_ok=True)
    await until_seen(client, (True, "STORE_ERROR"))
    assert not path.exists()
    again = members_of(tmp_path)
    await again.put_membership(HASH, [], ["s.g1"])
    await again.set_synchronized_on(int(now_ms()))
    await until_seen(client, (False, "HEALTHY"))
    for one in (client, again):
        await one.aclose()


async def test_many_who_want_the_same_of_a_redis_cost_one_question(server: RedisServer) -> None:
    """The stores spec, section 15, B3."""
    RedisWriter(server.url, "launchdarkly").put(HASH, ["s.g1"], [])
    async with AsyncAsking(AsyncRedisBigSegmentStore(server.url)) as asking:
        await asking.ask("somebody")
        server.cli("CONFIG", "RESETSTAT")
        server.pause()
        seen: list[Any] = []
        begun: list[int] = []

        async def ask() -> None:
            begun.append(1)
            seen.append((await asking.ask("user-key")).included)

        tasks = [runtime.spawn("test", ask) for _ in range(20)]
        await until(lambda: len(begun) == 20)
        await pause()
        server.resume()
        assert all([await task.join(10) for task in tasks])
        assert seen == [{"s.g1": True}] * 20
        assert b"cmdstat_smembers:calls=2," in server.cli("INFO", "commandstats")


async def test_a_store_that_keeps_to_a_timeout_is_asked_as_cheaply_as_the_colour_allows(
    redis_url: str,
) -> None:
    """In threads on the caller's own; in asyncio everything is on the loop's anyway."""

    class Watched(AsyncRedisBigSegmentStore):
        threads: list[str] = []  # noqa: RUF012  there is one of it

        async def get_membership(
            self, context_hash: str, *, timeout: float | None = None
        ) -> Mapping[str, bool]:
            assert timeout is not None
            self.threads.append(threading.current_thread().name)
            return await super().get_membership(context_hash, timeout=timeout)

    here = threading.current_thread().name
    RedisWriter(redis_url, "launchdarkly").synchronized(now_ms())
    async with AsyncAsking(Watched(redis_url)) as asking:
        assert (await asking.big.status()).available
        assert await asking.status_for("amal") == "HEALTHY"
        assert Watched.threads == [here]
        found = await asking.big.memberships(("a", "b"), runtime.monotonic() + 10)
        assert [one.status.value for one in found.values()] == ["HEALTHY", "HEALTHY"]
        del Watched.threads[:]
        found = await asking.big.memberships(("late",), runtime.monotonic() + 0.5)
        assert found["late"].status.value == "HEALTHY"
        assert (Watched.threads == [here]) is runtime.IS_ASYNC  # little time is left: beside


@pytest.mark.extras
def test_all_are_big_segment_stores(tmp_path: Path) -> None:
    stores: list[AsyncBigSegmentStore] = [
        AsyncRedisBigSegmentStore(),
        AsyncSQLiteBigSegmentStore(tmp_path / "f.db"),
        AsyncDynamoDBBigSegmentStore("flags"),
    ]
    assert [store.name for store in stores] == ["redis", "sqlite", "dynamodb"]
