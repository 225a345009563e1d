"""What is particular to the store in Redis; what it shares with others is in the suite."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flagkeep._async.stores.redis import AsyncRedisStore
from flagkeep._runtime import aio as runtime
from flagkeep._runtime import redis_aio
from flagkeep._runtime.redis_errors import ACL
from flagkeep.config import RedisTLS
from flagkeep.errors import ConfigError, StoreClosed, StoreCorrupt, StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.contents import Tally, WriterRecord
from tests._async.store_suite import flag, flags, full, part, refs
from tests._async.waiting import until
from tests.limits import check_within
from tests.servers.proxy import FaultProxy
from tests.servers.redis import RedisServer
from tests.servers.server import free_port

ME = WriterRecord(writer="me")
SECRET = "hunter2-%3A/secret"


@pytest.fixture(scope="module")
def own_server() -> Iterator[RedisServer]:
    """A server for this module, which may be stopped and misused."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(own_server: RedisServer) -> Iterator[RedisServer]:
    """The same, empty, and as it was once the test is over."""
    own_server.cli("FLUSHALL")
    yield own_server
    own_server.resume()
    own_server.cli("REPLICAOF", "NO", "ONE")
    own_server.cli("CONFIG", "SET", "maxmemory", "0")
    for name in own_server.cli("ACL", "USERS"):
        if name != b"default":
            own_server.cli("ACL", "DELUSER", name)


def one(key: str = "a") -> list[ItemRef]:
    return refs(key)


async def value(store: AsyncRedisStore, key: str = "a", **more: Any) -> int | None:
    """Return the version that a store has of a flag."""
    found = await store.get_many(refs(key), **more)
    return found[refs(key)[0]].version if found else None


# --- the layout -----------------------------------------------------------------------------------


async def test_a_full_set_lies_where_every_sdk_looks_for_it(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url, prefix="")
    gone = tombstone(Kind.FLAG, "gone", 7)
    await store.replace(full({**flags(a=1), "gone": gone}, segments=["s"]))
    assert server.cli("TYPE", "launchdarkly:features") == b"hash"
    assert server.cli("HGET", "launchdarkly:features", "a") == flag("a").data
    assert server.cli("HGET", "launchdarkly:features", "gone") == gone.data
    assert server.cli("HGETALL", "launchdarkly:segments") == [b"s", flag("s").data]
    assert server.cli("GET", "launchdarkly:$inited") == b""
    assert len(server.cli("KEYS", "*")) == 3
    await store.replace(full({}), ME)
    ours = {b"launchdarkly:$inited", b"launchdarkly:$flagkeep"}
    assert set(server.cli("KEYS", "*")) == ours
    assert b'"writer":"me"' in server.cli("HGET", "launchdarkly:$flagkeep", "record")
    assert {server.cli("TTL", key) for key in ours} == {-1}
    await store.aclose()


async def test_what_others_keep_under_the_prefix_stays(server: RedisServer) -> None:
    server.cli("SET", "p:big_segments_synchronized_on", "1")
    server.cli("HSET", "p:$flagkeep", "lease", "x", "record", "?")
    store = AsyncRedisStore(server.url, prefix="p")
    await store.replace(full({}), ME)
    await store.replace(full(flags(a=1)))
    assert server.cli("HGETALL", "p:$flagkeep") == [b"lease", b"x"]
    assert server.cli("GET", "p:big_segments_synchronized_on") == b"1"
    await store.aclose()


async def test_any_marker_counts(server: RedisServer) -> None:
    server.cli("SET", "p:$inited", "p:$inited")
    store = AsyncRedisStore(server.url, prefix="p")
    assert await store.is_initialized()
    assert (await store.get_all()).initialized
    await store.aclose()


async def test_databases_and_hash_tags_keep_environments_apart(server: RedisServer) -> None:
    tagged = AsyncRedisStore(server.url, prefix="{ld}.env", database=3)
    other = AsyncRedisStore(server.unix_url + "?db=4", prefix="{ld}.env")
    await tagged.replace(full(flags(a=1)))
    await other.replace(full(flags(a=2)))
    assert (await value(tagged), await value(other)) == (1, 2)
    assert server.cli("DBSIZE") == 0
    for store in (tagged, other):
        await store.aclose()


# --- bad items ------------------------------------------------------------------------------------


async def test_a_bad_item_is_named_and_hides_no_other(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url, prefix="p")
    await store.replace(full(flags(good=3)))
    bad = {b"null": b"null", b"nil": b"null", b"empty": b"", b"binary": b"\xff\0", b"list": b"[]"}
    for key, text in {**bad, b"\xff": b"{}", b"cut": b'{"deleted":true'}.items():
        server.cli("HSET", "p:features", key, text)
    contents = await store.get_all()
    assert contents.flags.keys() == {"good"}
    problems = {one.key: one.problem for one in contents.bad}
    assert problems.keys() == {"null", "nil", "empty", "binary", "list", "\\xff", "cut"}
    assert "Erlang" in problems["null"]
    assert "UTF-8" in problems["\\xff"]
    assert problems["empty"] == "it is empty"
    found = await store.get_many(refs("good", "binary"))
    assert found[ItemRef(Kind.FLAG, "good")] == flag("good", 3)
    assert found[ItemRef(Kind.FLAG, "binary")].data == b"\xff\0"
    assert await store.upsert(part(flags(binary=1, empty=1))) == {}
    assert (await store.get_all()).flags.keys() == {"good", "binary", "empty"}
    await store.aclose()


async def test_a_key_of_another_type_is_named(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url, prefix="p")
    await store.replace(full(flags(a=1), segments=["s"]))
    server.cli("DEL", "p:features")
    server.cli("SET", "p:features", "x")
    for ask in (
        store.get_all,
        lambda: store.get_many(one()),
        lambda: store.upsert(part(flags(a=2))),
    ):
        with pytest.raises(StoreCorrupt, match="p:features"):
            await ask()
    assert await store.get_many(refs("s", kind=Kind.SEGMENT))
    await store.replace(full(flags(a=2)))
    assert await value(store) == 2
    server.cli("DEL", "p:$flagkeep")
    server.cli("SET", "p:$flagkeep", "x")
    with pytest.raises(StoreCorrupt, match="p:\\$flagkeep"):
        await store.replace(full(flags(a=3)), ME)
    assert await value(store) == 2
    await store.aclose()


async def test_an_item_over_the_limit_is_named_and_keeps_its_last_good_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pad = '"' + "x" * (1 << 20) + '"'
    with RedisServer("--proto-max-bulk-len", "1500kb") as server:
        store = AsyncRedisStore(server.url)
        await store.replace(full({**flags(big=1, gone=1), "fits": flag("fits", 1, pad=pad)}), ME)
        bigger = flag("big", 2, pad=f"[{pad},{pad}]")
        huge = flag("new", 2, pad=f"[{pad},{pad},{pad}]")
        items = {**flags(a=2), "big": bigger, "new": huge, "fits": flag("fits", 2, pad=pad)}
        await store.replace(full(items), ME)
        contents = await store.get_all()
        versions = {key: item.version for key, item in contents.flags.items()}
        assert versions == {"a": 2, "big": 1, "fits": 2}
        record = await store.read_record()
        assert record is not None
        assert record.counts[Kind.FLAG] == 3
        assert record.digest == Tally.of_set(ChangeSet(full=True, flags=contents.flags)).digest
        said = [entry.getMessage() for entry in caplog.records]
        assert [("'big'" in line, "'new'" in line) for line in said] == [
            (True, False),
            (False, True),
        ]
        assert await store.upsert(part({"big": bigger, "a": flag("a", 3)})) == {}
        assert (await value(store, "big"), await value(store, "a")) == (1, 3)
        await store.aclose()


# --- clients and options of redis-py --------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("is_pool", [False, True])
async def test_a_given_client_or_pool_is_used_and_never_closed(
    server: RedisServer, protocol: int, *, is_pool: bool
) -> None:
    client = redis_aio.Client.from_url(
        server.url[:-1] + "5", protocol=protocol, decode_responses=True
    )
    await client.ping()
    opened = server.cli("INFO", "stats").split(b"total_connections_received:")[1].split()[0]
    if is_pool:
        store = AsyncRedisStore(pool=client.connection_pool)
    else:
        store = AsyncRedisStore(client=client)
    items = {"ключ": flag("ключ", 2), **flags(a=1)}
    await store.replace(full(items, segments=["s"]), ME)
    assert (await store.get_all()).flags == items
    assert await value(store, "ключ") == 2
    assert await store.upsert(part(flags(a=2, b=1))) == {}
    assert await store.upsert(part(flags(a=1))) == {one()[0]: flag("a", 2)}
    assert await store.read_record() is not None
    assert await store.is_initialized()
    assert f"127.0.0.1:{server.port}/5" in repr(store)
    await store.aclose()
    assert await client.hget("launchdarkly:features", "a") == flag("a", 2).data.decode()
    now = server.cli("INFO", "stats").split(b"total_connections_received:")[1].split()[0]
    assert int(now) <= int(opened) + 2  # the two questions of this test
    await client.aclose()


async def test_a_given_client_keeps_its_own_time_limit(server: RedisServer) -> None:
    client = redis_aio.Client.from_url(server.url, socket_timeout=7.0)
    store = AsyncRedisStore(client=client, timeout=0.1)
    await store.replace(full(flags(a=1)))
    server.pause()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.1 s"):
        await store.get_many(one())
    server.resume()
    assert await value(store) == 1
    assert client.connection_pool.connection_kwargs["socket_timeout"] == 7.0
    await store.aclose()
    await client.aclose()


async def test_options_cannot_break_how_answers_are_read(server: RedisServer) -> None:
    options: dict[str, Any] = {
        "decode_responses": True,
        "protocol": 3,
        "retry_on_timeout": True,
        "encoding": "x",
    }
    options |= {"client_name": "mine", "db": 2}
    store = AsyncRedisStore(server.url.removesuffix("/0"), options=options)
    await store.replace(full({"é": flag("é")}))
    assert await value(store, "é") == 1
    assert b"name=mine" in server.cli("CLIENT", "LIST")
    assert b"db=2" in server.cli("CLIENT", "LIST")
    await store.aclose()


def test_arguments_that_contradict_each_other_are_refused(server: RedisServer) -> None:
    client = redis_aio.Client()
    with pytest.raises(ConfigError, match="drop url"):
        AsyncRedisStore(server.url, client=client)
    with pytest.raises(ConfigError, match="drop url"):
        AsyncRedisStore(client=client, password="x")
    with pytest.raises(ConfigError, match="one of the two"):
        AsyncRedisStore(client=client, pool=client.connection_pool)
    with pytest.raises(ConfigError, match="rediss://"):
        AsyncRedisStore(server.url, tls=RedisTLS())
    with pytest.raises(ConfigError, match="nonsense"):
        AsyncRedisStore(server.url, options={"nonsense": 1})
    with pytest.raises(ConfigError, match="prefix"):
        AsyncRedisStore(server.url, prefix="\ud800")


# --- several writers ------------------------------------------------------------------------------


async def race(stores: list[AsyncRedisStore], count: int) -> None:
    """Let every store write versions of the same flags at the same time."""
    failures: list[Exception] = []

    async def write(store: AsyncRedisStore, first: int) -> None:
        try:
            for version in range(first, first + 2 * count, 2):
                await store.upsert(part(flags(a=version, b=version)))
                await store.upsert(part({f"{first}-{version}": flag("x")}))
        except Exception as exc:  # noqa: BLE001  told to the test
            failures.append(exc)

    def of(store: AsyncRedisStore, number: int) -> Any:
        return lambda: write(store, number)

    tasks = [runtime.spawn("w", of(store, number)) for number, store in enumerate(stores, 1)]
    for task in tasks:
        assert await task.join(30)
    assert failures == []


@pytest.mark.slow
@pytest.mark.parametrize("has_scripts", [True, False])
async def test_no_update_is_lost_when_two_write(server: RedisServer, *, has_scripts: bool) -> None:
    rights = ["+@all"] if has_scripts else ["+@all", "-@scripting"]
    server.cli("ACL", "SETUSER", "w", "on", ">pw", "~*", *rights)
    stores = [AsyncRedisStore(server.url, username="w", password="pw") for _ in range(2)]
    await stores[0].replace(full(flags(a=0, b=0)), ME)
    await race(stores, 20)
    contents = await stores[0].get_all()
    assert (contents.flags["a"].version, contents.flags["b"].version) == (40, 40)
    assert len(contents.flags) == 42
    record = await stores[1].read_record()
    assert record is not None
    assert record.counts[Kind.FLAG] == 42
    assert record.digest == Tally.of_set(ChangeSet(full=True, flags=contents.flags)).digest
    for store in stores:
        await store.aclose()


@pytest.mark.slow
async def test_what_is_read_together_was_there_together(server: RedisServer) -> None:
    reader, writer = AsyncRedisStore(server.url), AsyncRedisStore(server.url)
    sets = [
        ChangeSet(full=True, flags={"a": flag("a", n)}, segments={"s": flag("s", n)})
        for n in (1, 2)
    ]
    await writer.replace(sets[0])

    async def write() -> None:
        for number in range(100):
            await writer.replace(sets[number % 2])

    task = runtime.spawn("w", write)
    both = [*one(), *refs("s", kind=Kind.SEGMENT)]
    while not await task.join(0):
        found = await reader.get_many(both)
        assert found[both[0]].version == found[both[1]].version
        contents = await reader.get_all()
        assert contents.flags["a"].version == contents.segments["s"].version
    for store in (reader, writer):
        await store.aclose()


async def test_without_scripts_no_connection_goes_on_watching(server: RedisServer) -> None:
    server.cli("ACL", "SETUSER", "w", "on", ">pw", "~*", "+@all", "-@scripting")
    store = AsyncRedisStore(server.url, username="w", password="pw", max_connections=1)
    await store.replace(full(flags(a=5)))
    assert await store.upsert(part(flags(a=6))) == {}
    assert await store.upsert(part(flags(a=1))) == {one()[0]: flag("a", 6)}
    server.cli("HSET", "launchdarkly:features", "b", flag("b").data)
    assert (await store.get_all()).flags == flags(a=6, b=1)
    await store.aclose()


@pytest.mark.slow
async def test_writers_that_never_stop_are_given_up_on(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = AsyncRedisStore(server.url)
    await store.replace(full(flags(a=1)))
    reading = store._writes._read_for

    async def overtaken(lease: Any, changes: ChangeSet) -> Any:
        update = await reading(lease, changes)
        server.cli("HINCRBY", "launchdarkly:features", "n", 1)
        server.cli("HSET", "launchdarkly:features", "a", b'{"n":%d}' % len(overtakings))
        overtakings.append(1)
        return update

    overtakings: list[int] = []
    monkeypatch.setattr(store._writes, "_read_for", overtaken)
    with pytest.raises(StoreUnavailable, match="times in a row"):
        await store.upsert(part(flags(a=9)))
    assert len(overtakings) == 10
    await store.aclose()


# --- what the server refuses ----------------------------------------------------------------------


async def test_the_rights_that_the_documentation_asks_for_are_enough(server: RedisServer) -> None:
    writer = AsyncRedisStore(server.url, prefix="p")
    await writer.replace(full(flags(a=1)), ME)
    rules = ACL.replace("P:", "p:").split()
    server.cli("ACL", "SETUSER", "r", "on", ">pw", *rules)
    reader = AsyncRedisStore(server.url, prefix="p", username="r", password="pw", database=0)
    assert await reader.is_initialized()
    assert await value(reader) == 1
    assert (await reader.get_all()).flags == flags(a=1)
    assert await reader.read_record() is not None
    with pytest.raises(StoreUnavailable, match=r"\+hset"):
        await reader.replace(full({}))
    with pytest.raises(StoreUnavailable, match=r"writers also \+del"):
        await reader.upsert(part(flags(a=2)))
    stranger = AsyncRedisStore(server.url, prefix="q", username="r", password="pw")
    with pytest.raises(StoreUnavailable, match=r"~P:\*"):
        await stranger.get_all()
    assert (await writer.get_all()).flags == flags(a=1)
    server.cli(
        "ACL", "SETUSER", "w", "on", ">pw", *rules, "+del", "+hset", "+hdel", "+set", "+eval"
    )
    signed = AsyncRedisStore(server.url, prefix="p", username="w", password="pw")
    await signed.replace(full(flags(a=5)), ME)
    assert await signed.upsert(part(flags(a=6))) == {}
    assert await value(signed) == 6
    for store in (writer, reader, stranger, signed):
        await store.aclose()


async def test_a_read_only_replica_is_named_as_such(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url)
    await store.replace(full(flags(a=1)))
    server.cli("REPLICAOF", "127.0.0.1", "1")
    for write in (lambda: store.upsert(part(flags(a=2))), lambda: store.replace(full({}), ME)):
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            await write()
    assert await value(store) == 1
    await store.aclose()


async def test_a_full_memory_changes_nothing(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url)
    await store.replace(full(flags(a=1), segments=["s"]), ME)
    server.cli("CONFIG", "SET", "maxmemory", "1")
    for write in (lambda: store.upsert(part(flags(a=2))), lambda: store.replace(full({}), ME)):
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await write()
    assert (await store.get_all()).flags == flags(a=1)
    both = [*one(), *refs("s", kind=Kind.SEGMENT)]
    assert await store.get_many(both) == {one()[0]: flag("a"), both[1]: flag("s")}
    await store.aclose()


@pytest.mark.slow
async def test_a_server_of_a_cluster_asks_for_a_hash_tag() -> None:
    bus = str(free_port())  # by default its number is 10,000 higher, which may be too high
    with RedisServer("--cluster-enabled", "yes", "--cluster-port", bus) as server:
        plain = AsyncRedisStore(server.url)
        with pytest.raises(StoreUnavailable, match="cluster is down"):
            await plain.replace(full(flags(a=1)), ME)
        server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        await until(lambda: b"cluster_state:ok" in server.cli("CLUSTER", "INFO"))
        for write in (lambda: plain.replace(full({})), lambda: plain.upsert(part(flags(a=1)))):
            with pytest.raises(StoreUnavailable, match=r"hash tag such as \{launchdarkly\}"):
                await write()
        tagged = AsyncRedisStore(server.url, prefix="{ld}.launchdarkly")
        await tagged.replace(full(flags(a=1), segments=["s"]), ME)
        assert await tagged.upsert(part(flags(a=2))) == {}
        assert (await tagged.get_all()).flags == flags(a=2)
        for store in (plain, tagged):
            await store.aclose()


async def test_secrets_are_shown_nowhere(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.cli("ACL", "SETUSER", "me", "on", f">{SECRET}", "~*", "+@all")
    url = server.url.replace("://", "://me:hunter2-%253A%2Fsecret@")
    store = AsyncRedisStore(url, options={"client_name": "mine"})
    await store.replace(full(flags(a=1)), ME)
    shown = [repr(store), repr(vars(store)), repr(vars(store._connections))]
    await store.aclose()
    wrong = AsyncRedisStore(server.url, username="me", password=SECRET + "!")
    with pytest.raises(StoreUnavailable, match="user name and password") as caught:
        await wrong.get_all()
    shown += [repr(wrong), str(caught.value), repr(caught.value)]
    shown += [repr(caught.value.__cause__), str(caught.value.reason)]
    with pytest.raises(ConfigError) as refused:
        AsyncRedisStore("redis://me:hunter2:secret@host:x")
    shown += [str(refused.value)]
    shown += [record.getMessage() for record in caplog.records]
    assert not [text for text in shown if "hunter2" in text or "secret" in text]
    assert caught.value.__suppress_context__
    await wrong.aclose()


async def test_a_password_that_is_missing_is_asked_for() -> None:
    with RedisServer(password="pw") as server:
        without, wrong = AsyncRedisStore(server.url), AsyncRedisStore(server.url, password="x")
        with pytest.raises(StoreUnavailable, match="asks for a password"):
            await without.get_many(one())
        with pytest.raises(StoreUnavailable, match="refuses user name and password"):
            await wrong.get_many(one())
        right = AsyncRedisStore(server.url.replace("://", "://:pw@"))
        await right.replace(full(flags(a=1)))
        assert await value(right) == 1
        for store in (without, wrong, right):
            await store.aclose()


# --- TLS ------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_own_authority_and_client_certificate() -> None:
    with RedisServer(tls=True, client_certificates=True) as server:
        assert server.url.startswith("rediss://")
        tls = RedisTLS(ca_file=server.ca_file, cert_file=server.cert_file, key_file=server.key_file)
        good = AsyncRedisStore(server.url, tls=tls, database=1)
        await good.replace(full(flags(a=1)), ME)
        assert await value(good) == 1
        assert await good.upsert(part(flags(a=2))) == {}
        assert await value(good, timeout=1.0) == 2
        await good.aclose()
        unknown = AsyncRedisStore(server.url)
        with pytest.raises(StoreUnavailable, match="certificate"):
            await unknown.get_all()
        bare = AsyncRedisStore(server.url, tls=RedisTLS(ca_file=server.ca_file))
        with pytest.raises(StoreUnavailable):
            await bare.get_all()
        plain = AsyncRedisStore(server.url.replace("rediss", "redis"))
        with pytest.raises(StoreUnavailable):
            await plain.get_all()
        for store in (unknown, bare, plain):
            await store.aclose()


# --- outages --------------------------------------------------------------------------------------


async def test_a_server_that_says_nothing_is_waited_for_as_long_as_asked(
    server: RedisServer,
) -> None:
    store = AsyncRedisStore(server.url, max_connections=2)
    await store.replace(full(flags(a=1, b=2)))
    server.pause()
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"redis 127.*/0: get_many .* within 0\.1 s"):
        await value(store, timeout=0.1)
    with pytest.raises(StoreUnavailable, match=r"no \w+ within 0\.\d+ s"):
        await value(store, timeout=0.1)  # on a new connection, which never gets an answer either
    check_within(2, since=begun)
    server.resume()
    assert await value(store, "b", timeout=1.0) == 2  # and not the answer to what was asked before
    assert await value(store, "a") == 1
    await store.aclose()


async def test_a_restarted_server_is_no_outage(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url)
    await store.replace(full(flags(a=1)))
    for _ in range(2):
        server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await value(store) == 1
    server.restart()
    assert await value(store) is None
    await store.replace(full(flags(a=2)), ME)
    server.restart()
    assert await store.upsert(part(flags(a=3))) == {}
    assert await value(store) == 3
    await store.aclose()


async def test_a_server_that_is_gone_is_named_with_its_address(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url)
    assert await value(store) is None
    server.stop()
    try:
        with pytest.raises(
            StoreUnavailable, match=f"127.0.0.1:{server.port}.*is the server running"
        ):
            await store.get_many(one())
    finally:
        server.start()
    assert await value(store) is None
    await store.aclose()


# redis-py 5.0 leaves the socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_socket_that_is_not_there_is_named() -> None:
    nowhere = AsyncRedisStore("unix:///nowhere/redis.sock")
    with pytest.raises(StoreUnavailable, match=r"/nowhere/redis\.sock"):
        await nowhere.is_initialized()
    await nowhere.aclose()


async def test_an_answer_that_is_cut_off_fails_and_the_next_is_whole(server: RedisServer) -> None:
    with FaultProxy(server.port) as proxy:
        store = AsyncRedisStore(f"redis://127.0.0.1:{proxy.port}")
        await store.replace(full({key: flag(key, 1, pad='"' + "x" * 5000 + '"') for key in "abc"}))
        proxy.cut_after(7000)
        with pytest.raises(StoreUnavailable, match="connection"):
            await store.get_all()
        proxy.pass_on()
        assert (await store.get_all()).flags.keys() == {"a", "b", "c"}
        proxy.refuse()
        with pytest.raises(StoreUnavailable):
            await store.get_all()
        proxy.pass_on()
        assert await value(store) == 1
        await store.aclose()


async def test_late_answers_are_bounded_by_the_deadline(server: RedisServer) -> None:
    with FaultProxy(server.port) as proxy:
        store = AsyncRedisStore(f"redis://127.0.0.1:{proxy.port}/1", username="default")
        proxy.delay(0.15)
        begun = runtime.monotonic()
        with pytest.raises(StoreUnavailable, match=r"within 0\.2"):
            await value(store, timeout=0.2)  # connecting alone takes two answers
        check_within(0.4, since=begun)
        await store.aclose()


# --- connections ----------------------------------------------------------------------------------


async def test_more_callers_than_connections_take_turns(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url, max_connections=2)
    await store.replace(full(flags(a=1)))
    seen: list[int | None] = []

    async def ask() -> None:
        for _ in range(5):
            seen.append(await value(store))  # noqa: PERF401  one after the other

    tasks = [runtime.spawn("r", ask) for _ in range(8)]
    for task in tasks:
        assert await task.join(20)
    assert seen == [1] * 40
    assert server.cli("CLIENT", "LIST").count(b"cmd=hmget") <= 2
    await store.aclose()


async def test_a_caller_without_a_connection_is_told_so(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url, max_connections=1)
    async with store._connections.lease("x"):
        with pytest.raises(StoreUnavailable, match="max_connections"):
            await value(store, timeout=0.05)
    assert await value(store) is None
    await store.aclose()


async def test_a_connection_that_was_silent_for_long_is_not_trusted(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url, max_connections=1)
    assert await value(store) is None
    first = server.cli("CLIENT", "LIST")
    lease = store._connections.lease("x")
    async with lease:
        line: Any = lease._line
    line.idle_since -= 61
    assert await value(store) is None
    assert (
        server.cli("CLIENT", "LIST").splitlines()[0].split()[0] != first.splitlines()[0].split()[0]
    )
    await store.aclose()


async def test_closing_leaves_no_connection(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url, options={"client_name": "short-lived"})
    assert await value(store) is None
    assert b"short-lived" in server.cli("CLIENT", "LIST")
    lease = store._connections.lease("x")
    async with lease:
        await store.aclose()
        await store.aclose()
        with pytest.raises(StoreClosed):
            await value(store)
    await until(lambda: b"short-lived" not in server.cli("CLIENT", "LIST"))


def test_it_names_itself_without_secrets() -> None:
    store = AsyncRedisStore("redis://me:pw@[::1]:7000/5", prefix="p")
    assert repr(store) == "<AsyncRedisStore redis [::1]:7000/5 prefix='p'>"
    assert store.name == "redis"
