"""What is particular to the store in Redis; what it shares with others is in the suite."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flagkeep._sync.stores.redis import RedisStore
from flagkeep._runtime import threads as runtime
from flagkeep._runtime import redis_threads
from flagkeep._runtime.redis_errors import ACL
from flagkeep.config import RedisTLS
from flagkeep.errors import ConfigError, StoreClosed, StoreCorrupt, StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.contents import Tally, WriterRecord
from tests._sync.store_suite import flag, flags, full, part, refs
from tests._sync.waiting import until
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


def value(store: RedisStore, key: str = "a", **more: Any) -> int | None:
    """Return the version that a store has of a flag."""
    found = store.get_many(refs(key), **more)
    return found[refs(key)[0]].version if found else None


# --- the layout -----------------------------------------------------------------------------------


def test_a_full_set_lies_where_every_sdk_looks_for_it(server: RedisServer) -> None:
    store = RedisStore(server.url, prefix="")
    gone = tombstone(Kind.FLAG, "gone", 7)
    store.replace(full({**flags(a=1), "gone": gone}, segments=["s"]))
    assert server.cli("TYPE", "launchdarkly:features") == b"hash"
    assert server.cli("HGET", "launchdarkly:features", "a") == flag("a").data
    assert server.cli("HGET", "launchdarkly:features", "gone") == gone.data
    assert server.cli("HGETALL", "launchdarkly:segments") == [b"s", flag("s").data]
    assert server.cli("GET", "launchdarkly:$inited") == b""
    assert len(server.cli("KEYS", "*")) == 3
    store.replace(full({}), ME)
    ours = {b"launchdarkly:$inited", b"launchdarkly:$flagkeep"}
    assert set(server.cli("KEYS", "*")) == ours
    assert b'"writer":"me"' in server.cli("HGET", "launchdarkly:$flagkeep", "record")
    assert {server.cli("TTL", key) for key in ours} == {-1}
    store.close()


def test_what_others_keep_under_the_prefix_stays(server: RedisServer) -> None:
    server.cli("SET", "p:big_segments_synchronized_on", "1")
    server.cli("HSET", "p:$flagkeep", "lease", "x", "record", "?")
    store = RedisStore(server.url, prefix="p")
    store.replace(full({}), ME)
    store.replace(full(flags(a=1)))
    assert server.cli("HGETALL", "p:$flagkeep") == [b"lease", b"x"]
    assert server.cli("GET", "p:big_segments_synchronized_on") == b"1"
    store.close()


def test_any_marker_counts(server: RedisServer) -> None:
    server.cli("SET", "p:$inited", "p:$inited")
    store = RedisStore(server.url, prefix="p")
    assert store.is_initialized()
    assert (store.get_all()).initialized
    store.close()


def test_databases_and_hash_tags_keep_environments_apart(server: RedisServer) -> None:
    tagged = RedisStore(server.url, prefix="{ld}.env", database=3)
    other = RedisStore(server.unix_url + "?db=4", prefix="{ld}.env")
    tagged.replace(full(flags(a=1)))
    other.replace(full(flags(a=2)))
    assert (value(tagged), value(other)) == (1, 2)
    assert server.cli("DBSIZE") == 0
    for store in (tagged, other):
        store.close()


# --- bad items ------------------------------------------------------------------------------------


def test_a_bad_item_is_named_and_hides_no_other(server: RedisServer) -> None:
    store = RedisStore(server.url, prefix="p")
    store.replace(full(flags(good=3)))
    bad = {b"null": b"null", b"nil": b"null", b"empty": b"", b"binary": b"\xff\0", b"list": b"[]"}
    for key, text in {**bad, b"\xff": b"{}", b"cut": b'{"deleted":true'}.items():
        server.cli("HSET", "p:features", key, text)
    contents = store.get_all()
    assert contents.flags.keys() == {"good"}
    problems = {one.key: one.problem for one in contents.bad}
    assert problems.keys() == {"null", "nil", "empty", "binary", "list", "\\xff", "cut"}
    assert "Erlang" in problems["null"]
    assert "UTF-8" in problems["\\xff"]
    assert problems["empty"] == "it is empty"
    found = store.get_many(refs("good", "binary"))
    assert found[ItemRef(Kind.FLAG, "good")] == flag("good", 3)
    assert found[ItemRef(Kind.FLAG, "binary")].data == b"\xff\0"
    assert store.upsert(part(flags(binary=1, empty=1))) == {}
    assert (store.get_all()).flags.keys() == {"good", "binary", "empty"}
    store.close()


def test_a_key_of_another_type_is_named(server: RedisServer) -> None:
    store = RedisStore(server.url, prefix="p")
    store.replace(full(flags(a=1), segments=["s"]))
    server.cli("DEL", "p:features")
    server.cli("SET", "p:features", "x")
    for ask in (
        store.get_all,
        lambda: store.get_many(one()),
        lambda: store.upsert(part(flags(a=2))),
    ):
        with pytest.raises(StoreCorrupt, match="p:features"):
            ask()
    assert store.get_many(refs("s", kind=Kind.SEGMENT))
    store.replace(full(flags(a=2)))
    assert value(store) == 2
    server.cli("DEL", "p:$flagkeep")
    server.cli("SET", "p:$flagkeep", "x")
    with pytest.raises(StoreCorrupt, match="p:\\$flagkeep"):
        store.replace(full(flags(a=3)), ME)
    assert value(store) == 2
    store.close()


def test_an_item_over_the_limit_is_named_and_keeps_its_last_good_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pad = '"' + "x" * (1 << 20) + '"'
    with RedisServer("--proto-max-bulk-len", "1500kb") as server:
        store = RedisStore(server.url)
        store.replace(full({**flags(big=1, gone=1), "fits": flag("fits", 1, pad=pad)}), ME)
        bigger = flag("big", 2, pad=f"[{pad},{pad}]")
        huge = flag("new", 2, pad=f"[{pad},{pad},{pad}]")
        items = {**flags(a=2), "big": bigger, "new": huge, "fits": flag("fits", 2, pad=pad)}
        store.replace(full(items), ME)
        contents = store.get_all()
        versions = {key: item.version for key, item in contents.flags.items()}
        assert versions == {"a": 2, "big": 1, "fits": 2}
        record = store.read_record()
        assert record is not None
        assert record.counts[Kind.FLAG] == 3
        assert record.digest == Tally.of_set(ChangeSet(full=True, flags=contents.flags)).digest
        said = [entry.getMessage() for entry in caplog.records]
        assert [("'big'" in line, "'new'" in line) for line in said] == [
            (True, False),
            (False, True),
        ]
        assert store.upsert(part({"big": bigger, "a": flag("a", 3)})) == {}
        assert (value(store, "big"), value(store, "a")) == (1, 3)
        store.close()


# --- clients and options of redis-py --------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("is_pool", [False, True])
def test_a_given_client_or_pool_is_used_and_never_closed(
    server: RedisServer, protocol: int, *, is_pool: bool
) -> None:
    client = redis_threads.Client.from_url(
        server.url[:-1] + "5", protocol=protocol, decode_responses=True
    )
    client.ping()
    opened = server.cli("INFO", "stats").split(b"total_connections_received:")[1].split()[0]
    if is_pool:
        store = RedisStore(pool=client.connection_pool)
    else:
        store = RedisStore(client=client)
    items = {"ключ": flag("ключ", 2), **flags(a=1)}
    store.replace(full(items, segments=["s"]), ME)
    assert (store.get_all()).flags == items
    assert value(store, "ключ") == 2
    assert store.upsert(part(flags(a=2, b=1))) == {}
    assert store.upsert(part(flags(a=1))) == {one()[0]: flag("a", 2)}
    assert store.read_record() is not None
    assert store.is_initialized()
    assert f"127.0.0.1:{server.port}/5" in repr(store)
    store.close()
    assert client.hget("launchdarkly:features", "a") == flag("a", 2).data.decode()
    now = server.cli("INFO", "stats").split(b"total_connections_received:")[1].split()[0]
    assert int(now) <= int(opened) + 2  # the two questions of this test
    client.close()


def test_a_given_client_keeps_its_own_time_limit(server: RedisServer) -> None:
    client = redis_threads.Client.from_url(server.url, socket_timeout=7.0)
    store = RedisStore(client=client, timeout=0.1)
    store.replace(full(flags(a=1)))
    server.pause()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.1 s"):
        store.get_many(one())
    server.resume()
    assert value(store) == 1
    assert client.connection_pool.connection_kwargs["socket_timeout"] == 7.0
    store.close()
    client.close()


def test_options_cannot_break_how_answers_are_read(server: RedisServer) -> None:
    options: dict[str, Any] = {
        "decode_responses": True,
        "protocol": 3,
        "retry_on_timeout": True,
        "encoding": "x",
    }
    options |= {"client_name": "mine", "db": 2}
    store = RedisStore(server.url.removesuffix("/0"), options=options)
    store.replace(full({"é": flag("é")}))
    assert value(store, "é") == 1
    assert b"name=mine" in server.cli("CLIENT", "LIST")
    assert b"db=2" in server.cli("CLIENT", "LIST")
    store.close()


def test_arguments_that_contradict_each_other_are_refused(server: RedisServer) -> None:
    client = redis_threads.Client()
    with pytest.raises(ConfigError, match="drop url"):
        RedisStore(server.url, client=client)
    with pytest.raises(ConfigError, match="drop url"):
        RedisStore(client=client, password="x")
    with pytest.raises(ConfigError, match="one of the two"):
        RedisStore(client=client, pool=client.connection_pool)
    with pytest.raises(ConfigError, match="rediss://"):
        RedisStore(server.url, tls=RedisTLS())
    with pytest.raises(ConfigError, match="nonsense"):
        RedisStore(server.url, options={"nonsense": 1})
    with pytest.raises(ConfigError, match="prefix"):
        RedisStore(server.url, prefix="\ud800")


# --- several writers ------------------------------------------------------------------------------


def race(stores: list[RedisStore], count: int) -> None:
    """Let every store write versions of the same flags at the same time."""
    failures: list[Exception] = []

    def write(store: RedisStore, first: int) -> None:
        try:
            for version in range(first, first + 2 * count, 2):
                store.upsert(part(flags(a=version, b=version)))
                store.upsert(part({f"{first}-{version}": flag("x")}))
        except Exception as exc:  # noqa: BLE001  told to the test
            failures.append(exc)

    def of(store: RedisStore, number: int) -> Any:
        return lambda: write(store, number)

    tasks = [runtime.spawn("w", of(store, number)) for number, store in enumerate(stores, 1)]
    for task in tasks:
        assert task.join(30)
    assert failures == []


@pytest.mark.slow
@pytest.mark.parametrize("has_scripts", [True, False])
def test_no_update_is_lost_when_two_write(server: RedisServer, *, has_scripts: bool) -> None:
    rights = ["+@all"] if has_scripts else ["+@all", "-@scripting"]
    server.cli("ACL", "SETUSER", "w", "on", ">pw", "~*", *rights)
    stores = [RedisStore(server.url, username="w", password="pw") for _ in range(2)]
    stores[0].replace(full(flags(a=0, b=0)), ME)
    race(stores, 20)
    contents = stores[0].get_all()
    assert (contents.flags["a"].version, contents.flags["b"].version) == (40, 40)
    assert len(contents.flags) == 42
    record = stores[1].read_record()
    assert record is not None
    assert record.counts[Kind.FLAG] == 42
    assert record.digest == Tally.of_set(ChangeSet(full=True, flags=contents.flags)).digest
    for store in stores:
        store.close()


@pytest.mark.slow
def test_what_is_read_together_was_there_together(server: RedisServer) -> None:
    reader, writer = RedisStore(server.url), RedisStore(server.url)
    sets = [
        ChangeSet(full=True, flags={"a": flag("a", n)}, segments={"s": flag("s", n)})
        for n in (1, 2)
    ]
    writer.replace(sets[0])

    def write() -> None:
        for number in range(100):
            writer.replace(sets[number % 2])

    task = runtime.spawn("w", write)
    both = [*one(), *refs("s", kind=Kind.SEGMENT)]
    while not task.join(0):
        found = reader.get_many(both)
        assert found[both[0]].version == found[both[1]].version
        contents = reader.get_all()
        assert contents.flags["a"].version == contents.segments["s"].version
    for store in (reader, writer):
        store.close()


def test_without_scripts_no_connection_goes_on_watching(server: RedisServer) -> None:
    server.cli("ACL", "SETUSER", "w", "on", ">pw", "~*", "+@all", "-@scripting")
    store = RedisStore(server.url, username="w", password="pw", max_connections=1)
    store.replace(full(flags(a=5)))
    assert store.upsert(part(flags(a=6))) == {}
    assert store.upsert(part(flags(a=1))) == {one()[0]: flag("a", 6)}
    server.cli("HSET", "launchdarkly:features", "b", flag("b").data)
    assert (store.get_all()).flags == flags(a=6, b=1)
    store.close()


@pytest.mark.slow
def test_writers_that_never_stop_are_given_up_on(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisStore(server.url)
    store.replace(full(flags(a=1)))
    reading = store._writes._read_for

    def overtaken(lease: Any, changes: ChangeSet) -> Any:
        update = reading(lease, changes)
        server.cli("HINCRBY", "launchdarkly:features", "n", 1)
        server.cli("HSET", "launchdarkly:features", "a", b'{"n":%d}' % len(overtakings))
        overtakings.append(1)
        return update

    overtakings: list[int] = []
    monkeypatch.setattr(store._writes, "_read_for", overtaken)
    with pytest.raises(StoreUnavailable, match="times in a row"):
        store.upsert(part(flags(a=9)))
    assert len(overtakings) == 10
    store.close()


# --- what the server refuses ----------------------------------------------------------------------


def test_the_rights_that_the_documentation_asks_for_are_enough(server: RedisServer) -> None:
    writer = RedisStore(server.url, prefix="p")
    writer.replace(full(flags(a=1)), ME)
    rules = ACL.replace("P:", "p:").split()
    server.cli("ACL", "SETUSER", "r", "on", ">pw", *rules)
    reader = RedisStore(server.url, prefix="p", username="r", password="pw", database=0)
    assert reader.is_initialized()
    assert value(reader) == 1
    assert (reader.get_all()).flags == flags(a=1)
    assert reader.read_record() is not None
    with pytest.raises(StoreUnavailable, match=r"\+hset"):
        reader.replace(full({}))
    with pytest.raises(StoreUnavailable, match=r"writers also \+del"):
        reader.upsert(part(flags(a=2)))
    stranger = RedisStore(server.url, prefix="q", username="r", password="pw")
    with pytest.raises(StoreUnavailable, match=r"~P:\*"):
        stranger.get_all()
    assert (writer.get_all()).flags == flags(a=1)
    server.cli(
        "ACL", "SETUSER", "w", "on", ">pw", *rules, "+del", "+hset", "+hdel", "+set", "+eval"
    )
    signed = RedisStore(server.url, prefix="p", username="w", password="pw")
    signed.replace(full(flags(a=5)), ME)
    assert signed.upsert(part(flags(a=6))) == {}
    assert value(signed) == 6
    for store in (writer, reader, stranger, signed):
        store.close()


def test_a_read_only_replica_is_named_as_such(server: RedisServer) -> None:
    store = RedisStore(server.url)
    store.replace(full(flags(a=1)))
    server.cli("REPLICAOF", "127.0.0.1", "1")
    for write in (lambda: store.upsert(part(flags(a=2))), lambda: store.replace(full({}), ME)):
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            write()
    assert value(store) == 1
    store.close()


def test_a_full_memory_changes_nothing(server: RedisServer) -> None:
    store = RedisStore(server.url)
    store.replace(full(flags(a=1), segments=["s"]), ME)
    server.cli("CONFIG", "SET", "maxmemory", "1")
    for write in (lambda: store.upsert(part(flags(a=2))), lambda: store.replace(full({}), ME)):
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            write()
    assert (store.get_all()).flags == flags(a=1)
    both = [*one(), *refs("s", kind=Kind.SEGMENT)]
    assert store.get_many(both) == {one()[0]: flag("a"), both[1]: flag("s")}
    store.close()


@pytest.mark.slow
def test_a_server_of_a_cluster_asks_for_a_hash_tag() -> None:
    bus = str(free_port())  # by default its number is 10,000 higher, which may be too high
    with RedisServer("--cluster-enabled", "yes", "--cluster-port", bus) as server:
        plain = RedisStore(server.url)
        with pytest.raises(StoreUnavailable, match="cluster is down"):
            plain.replace(full(flags(a=1)), ME)
        server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        until(lambda: b"cluster_state:ok" in server.cli("CLUSTER", "INFO"))
        for write in (lambda: plain.replace(full({})), lambda: plain.upsert(part(flags(a=1)))):
            with pytest.raises(StoreUnavailable, match=r"hash tag such as \{launchdarkly\}"):
                write()
        tagged = RedisStore(server.url, prefix="{ld}.launchdarkly")
        tagged.replace(full(flags(a=1), segments=["s"]), ME)
        assert tagged.upsert(part(flags(a=2))) == {}
        assert (tagged.get_all()).flags == flags(a=2)
        for store in (plain, tagged):
            store.close()


def test_secrets_are_shown_nowhere(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.cli("ACL", "SETUSER", "me", "on", f">{SECRET}", "~*", "+@all")
    url = server.url.replace("://", "://me:hunter2-%253A%2Fsecret@")
    store = RedisStore(url, options={"client_name": "mine"})
    store.replace(full(flags(a=1)), ME)
    shown = [repr(store), repr(vars(store)), repr(vars(store._connections))]
    store.close()
    wrong = RedisStore(server.url, username="me", password=SECRET + "!")
    with pytest.raises(StoreUnavailable, match="user name and password") as caught:
        wrong.get_all()
    shown += [repr(wrong), str(caught.value), repr(caught.value)]
    shown += [repr(caught.value.__cause__), str(caught.value.reason)]
    with pytest.raises(ConfigError) as refused:
        RedisStore("redis://me:hunter2:secret@host:x")
    shown += [str(refused.value)]
    shown += [record.getMessage() for record in caplog.records]
    assert not [text for text in shown if "hunter2" in text or "secret" in text]
    assert caught.value.__suppress_context__
    wrong.close()


def test_a_password_that_is_missing_is_asked_for() -> None:
    with RedisServer(password="pw") as server:
        without, wrong = RedisStore(server.url), RedisStore(server.url, password="x")
        with pytest.raises(StoreUnavailable, match="asks for a password"):
            without.get_many(one())
        with pytest.raises(StoreUnavailable, match="refuses user name and password"):
            wrong.get_many(one())
        right = RedisStore(server.url.replace("://", "://:pw@"))
        right.replace(full(flags(a=1)))
        assert value(right) == 1
        for store in (without, wrong, right):
            store.close()


# --- TLS ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_own_authority_and_client_certificate() -> None:
    with RedisServer(tls=True, client_certificates=True) as server:
        assert server.url.startswith("rediss://")
        tls = RedisTLS(ca_file=server.ca_file, cert_file=server.cert_file, key_file=server.key_file)
        good = RedisStore(server.url, tls=tls, database=1)
        good.replace(full(flags(a=1)), ME)
        assert value(good) == 1
        assert good.upsert(part(flags(a=2))) == {}
        assert value(good, timeout=1.0) == 2
        good.close()
        unknown = RedisStore(server.url)
        with pytest.raises(StoreUnavailable, match="certificate"):
            unknown.get_all()
        bare = RedisStore(server.url, tls=RedisTLS(ca_file=server.ca_file))
        with pytest.raises(StoreUnavailable):
            bare.get_all()
        plain = RedisStore(server.url.replace("rediss", "redis"))
        with pytest.raises(StoreUnavailable):
            plain.get_all()
        for store in (unknown, bare, plain):
            store.close()


# --- outages --------------------------------------------------------------------------------------


def test_a_server_that_says_nothing_is_waited_for_as_long_as_asked(
    server: RedisServer,
) -> None:
    store = RedisStore(server.url, max_connections=2)
    store.replace(full(flags(a=1, b=2)))
    server.pause()
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"redis 127.*/0: get_many .* within 0\.1 s"):
        value(store, timeout=0.1)
    with pytest.raises(StoreUnavailable, match=r"no \w+ within 0\.\d+ s"):
        value(store, timeout=0.1)  # on a new connection, which never gets an answer either
    check_within(2, since=begun)
    server.resume()
    assert value(store, "b", timeout=1.0) == 2  # and not the answer to what was asked before
    assert value(store, "a") == 1
    store.close()


def test_a_restarted_server_is_no_outage(server: RedisServer) -> None:
    store = RedisStore(server.url)
    store.replace(full(flags(a=1)))
    for _ in range(2):
        server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert value(store) == 1
    server.restart()
    assert value(store) is None
    store.replace(full(flags(a=2)), ME)
    server.restart()
    assert store.upsert(part(flags(a=3))) == {}
    assert value(store) == 3
    store.close()


def test_a_server_that_is_gone_is_named_with_its_address(server: RedisServer) -> None:
    store = RedisStore(server.url)
    assert value(store) is None
    server.stop()
    try:
        with pytest.raises(
            StoreUnavailable, match=f"127.0.0.1:{server.port}.*is the server running"
        ):
            store.get_many(one())
    finally:
        server.start()
    assert value(store) is None
    store.close()


# redis-py 5.0 leaves the socket to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_socket_that_is_not_there_is_named() -> None:
    nowhere = RedisStore("unix:///nowhere/redis.sock")
    with pytest.raises(StoreUnavailable, match=r"/nowhere/redis\.sock"):
        nowhere.is_initialized()
    nowhere.close()


def test_an_answer_that_is_cut_off_fails_and_the_next_is_whole(server: RedisServer) -> None:
    with FaultProxy(server.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}")
        store.replace(full({key: flag(key, 1, pad='"' + "x" * 5000 + '"') for key in "abc"}))
        proxy.cut_after(7000)
        with pytest.raises(StoreUnavailable, match="connection"):
            store.get_all()
        proxy.pass_on()
        assert (store.get_all()).flags.keys() == {"a", "b", "c"}
        proxy.refuse()
        with pytest.raises(StoreUnavailable):
            store.get_all()
        proxy.pass_on()
        assert value(store) == 1
        store.close()


def test_late_answers_are_bounded_by_the_deadline(server: RedisServer) -> None:
    with FaultProxy(server.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}/1", username="default")
        proxy.delay(0.15)
        begun = runtime.monotonic()
        with pytest.raises(StoreUnavailable, match=r"within 0\.2"):
            value(store, timeout=0.2)  # connecting alone takes two answers
        check_within(0.4, since=begun)
        store.close()


# --- connections ----------------------------------------------------------------------------------


def test_more_callers_than_connections_take_turns(server: RedisServer) -> None:
    store = RedisStore(server.url, max_connections=2)
    store.replace(full(flags(a=1)))
    seen: list[int | None] = []

    def ask() -> None:
        for _ in range(5):
            seen.append(value(store))  # noqa: PERF401  one after the other

    tasks = [runtime.spawn("r", ask) for _ in range(8)]
    for task in tasks:
        assert task.join(20)
    assert seen == [1] * 40
    assert server.cli("CLIENT", "LIST").count(b"cmd=hmget") <= 2
    store.close()


def test_a_caller_without_a_connection_is_told_so(server: RedisServer) -> None:
    store = RedisStore(server.url, max_connections=1)
    with store._connections.lease("x"):
        with pytest.raises(StoreUnavailable, match="max_connections"):
            value(store, timeout=0.05)
    assert value(store) is None
    store.close()


def test_a_connection_that_was_silent_for_long_is_not_trusted(server: RedisServer) -> None:
    store = RedisStore(server.url, max_connections=1)
    assert value(store) is None
    first = server.cli("CLIENT", "LIST")
    lease = store._connections.lease("x")
    with lease:
        line: Any = lease._line
    line.idle_since -= 61
    assert value(store) is None
    assert (
        server.cli("CLIENT", "LIST").splitlines()[0].split()[0] != first.splitlines()[0].split()[0]
    )
    store.close()


def test_closing_leaves_no_connection(server: RedisServer) -> None:
    store = RedisStore(server.url, options={"client_name": "short-lived"})
    assert value(store) is None
    assert b"short-lived" in server.cli("CLIENT", "LIST")
    lease = store._connections.lease("x")
    with lease:
        store.close()
        store.close()
        with pytest.raises(StoreClosed):
            value(store)
    until(lambda: b"short-lived" not in server.cli("CLIENT", "LIST"))


def test_it_names_itself_without_secrets() -> None:
    store = RedisStore("redis://me:pw@[::1]:7000/5", prefix="p")
    assert repr(store) == "<RedisStore redis [::1]:7000/5 prefix='p'>"
    assert store.name == "redis"
