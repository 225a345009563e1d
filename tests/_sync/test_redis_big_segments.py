"""Big Segments in Redis: the suite, what is particular, and clients with a Redis in trouble."""

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from flagkeep._sync.stores.redis_big_segments import RedisBigSegmentStore
from flagkeep._runtime import threads as runtime
from flagkeep._runtime import redis_threads
from flagkeep._runtime.redis_errors import BIG_SEGMENTS_ACL
from flagkeep.errors import ConfigError, StoreCorrupt, StoreUnavailable
from flagkeep.model.context import Context
from flagkeep.storage.big_segments import UNAVAILABLE, BigSegmentStoreStatus, hash_of
from tests._sync.big_segment_backends import (
    HEALTHY,
    client_of,
    in_redis,
    now_ms,
    seen_by,
    until_seen,
)
from tests._sync.big_segment_suite import CHECKS, HASH, NAMES
from tests._sync.segment_store import Asking
from tests._sync.waiting import pause, until
from tests.limits import check_within
from tests.servers.big_segments import RedisWriter
from tests.servers.proxy import FaultProxy
from tests.servers.redis import RedisServer
from tests.servers.server import free_port

SECRET = "hunter2-%3A/secret"


@pytest.mark.parametrize("name", NAMES)
def test_redis(name: str, redis_url: str) -> None:
    CHECKS[NAMES.index(name)](in_redis(redis_url))


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


def test_the_prefix_is_that_of_every_sdk_unless_told_otherwise(server: RedisServer) -> None:
    RedisWriter(server.url, "launchdarkly").put(HASH, ["a.g1"], [])
    for store in (
        RedisBigSegmentStore(server.url),
        RedisBigSegmentStore(server.url, prefix=""),
    ):
        assert store.get_membership(HASH) == {"a.g1": True}
        store.close()


def test_nothing_but_two_reads_in_one_transaction_is_asked(server: RedisServer) -> None:
    store = RedisBigSegmentStore(server.url, prefix="p")
    server.cli("CONFIG", "RESETSTAT")
    store.get_membership(HASH)
    store.get_metadata()
    stats = server.cli("INFO", "commandstats").decode()
    calls = {
        line.split(":")[0].removeprefix("cmdstat_"): line.split("calls=")[1].split(",")[0]
        for line in stats.splitlines()
        if line.startswith("cmdstat_") and "info" not in line and "config" not in line
    }
    assert calls == {"multi": "1", "smembers": "2", "exec": "1", "get": "1"}
    assert server.cli("DBSIZE") == 0
    store.close()


def test_members_that_are_no_text_are_left_out(server: RedisServer) -> None:
    server.cli("SADD", f"p:big_segment_include:{HASH}", b"\xff", "a.g1")
    store = RedisBigSegmentStore(server.url, prefix="p")
    assert store.get_membership(HASH) == {"a.g1": True}
    store.close()


def test_a_key_of_another_type_is_named_and_harms_no_other(server: RedisServer) -> None:
    store = RedisBigSegmentStore(server.url, prefix="p")
    RedisWriter(server.url, "p").put(hash_of("other"), ["a.g1"], [])
    server.cli("SET", f"p:big_segment_exclude:{HASH}", "x")
    server.cli("SADD", "p:big_segments_synchronized_on", "x")
    with pytest.raises(StoreCorrupt, match="p:big_segment_exclude:"):
        store.get_membership(HASH)
    with pytest.raises(StoreCorrupt, match="p:big_segments_synchronized_on"):
        store.get_metadata()
    assert store.get_membership(hash_of("other")) == {"a.g1": True}
    store.close()


def test_it_reads_where_the_memory_is_full(server: RedisServer) -> None:
    RedisWriter(server.url, "p").put(HASH, ["a.g1"], ["b.g1"])
    store = RedisBigSegmentStore(server.url, prefix="p")
    server.cli("CONFIG", "SET", "maxmemory", "1")
    assert store.get_membership(HASH) == {"a.g1": True, "b.g1": False}
    assert (store.get_metadata()).last_up_to_date_ms is None
    store.close()


def test_a_user_with_the_rights_that_are_documented_can_read(server: RedisServer) -> None:
    RedisWriter(server.url, "p").put(HASH, ["a.g1"], [])
    RedisWriter(server.url[:-1] + "3", "p").put(HASH, ["a.g3"], [])
    rights = BIG_SEGMENTS_ACL.replace("~P:", "~p:").split()
    server.cli("ACL", "SETUSER", "reader", "on", ">pw", *rights)
    for database, expected in ((0, "a.g1"), (3, "a.g3")):
        store = RedisBigSegmentStore(
            server.url, prefix="p", username="reader", password="pw", database=database
        )
        assert store.get_membership(HASH) == {expected: True}
        store.get_metadata()
        server.cli("CONFIG", "SET", "maxmemory", "1")
        assert store.get_membership(HASH) == {expected: True}
        server.cli("CONFIG", "SET", "maxmemory", "0")
        store.close()


@pytest.mark.parametrize("missing", ["get", "smembers", "multi", "exec"])
def test_a_right_that_is_missing_is_said(server: RedisServer, missing: str) -> None:
    rights = BIG_SEGMENTS_ACL.replace("~P:", "~p:").split()
    server.cli("ACL", "SETUSER", "reader", "on", ">pw", *rights, f"-{missing}")
    store = RedisBigSegmentStore(server.url, prefix="p", username="reader", password="pw")
    with pytest.raises(StoreUnavailable, match=r"needs ~P:big_segment\* .*\+smembers"):
        (store.get_metadata() if missing == "get" else store.get_membership(HASH))
    store.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_given_client_is_used_and_never_closed(server: RedisServer, protocol: int) -> None:
    client = redis_threads.Client.from_url(server.url, protocol=protocol, decode_responses=True)
    RedisWriter(server.url, "p").put(HASH, ["a.g1"], ["b.g1"])
    for given in ({"client": client}, {"pool": client.connection_pool}):
        store = RedisBigSegmentStore(prefix="p", **given)
        assert store.get_membership(HASH) == {"a.g1": True, "b.g1": False}
        assert (store.get_metadata()).last_up_to_date_ms is None
        store.close()
    assert client.ping()
    client.close()


@pytest.mark.slow
def test_a_server_of_a_cluster_asks_for_a_hash_tag() -> None:
    bus = str(free_port())  # by default its number is 10,000 higher, which may be too high
    with RedisServer("--cluster-enabled", "yes", "--cluster-port", bus) as server:
        server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        until(lambda: b"cluster_state:ok" in server.cli("CLUSTER", "INFO"))
        plain = RedisBigSegmentStore(server.url)
        with pytest.raises(StoreUnavailable, match=r"hash tag such as \{launchdarkly\}"):
            plain.get_membership(HASH)
        tagged = RedisBigSegmentStore(server.url, prefix="{ld}.launchdarkly")
        assert not tagged.get_membership(HASH)
        for store in (plain, tagged):
            store.close()


def test_secrets_are_shown_nowhere(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    door = server.url.removeprefix("redis://")
    store = RedisBigSegmentStore(f"redis://me:{SECRET.replace('/', '%2F')}@{door}")
    with pytest.raises(StoreUnavailable) as caught:
        store.get_membership(HASH)
    error: BaseException | None = caught.value
    said = [repr(store), repr(vars(store)), repr(vars(caught.value)), caplog.text]
    while error is not None:
        said.append(f"{error}{error.args}")
        error = error.__cause__ or error.__context__
    assert "hunter2" not in "".join(said)
    assert "user name and password" in str(caught.value)
    store.close()
    assert repr(RedisBigSegmentStore("redis://me:pw@[::1]:7000/5", prefix="p")) == (
        "<RedisBigSegmentStore redis [::1]:7000/5 prefix='p'>"
    )


def test_a_server_that_hangs_is_not_waited_for_beyond_the_timeout(
    server: RedisServer,
) -> None:
    store = RedisBigSegmentStore(server.url, timeout=30.0)
    server.pause()
    for ask in (
        lambda: store.get_membership(HASH, timeout=0.1),
        lambda: store.get_metadata(timeout=0.1),
    ):
        begun = runtime.monotonic()
        with pytest.raises(StoreUnavailable, match=r"no answer within 0\.1 s"):
            ask()
        check_within(10.0, since=begun)
    server.resume()
    assert not store.get_membership(HASH)
    store.close()


def test_a_connection_that_was_lost_is_replaced_without_a_word(server: RedisServer) -> None:
    RedisWriter(server.url, "p").put(HASH, ["a.g1"], [])
    store = RedisBigSegmentStore(server.url, prefix="p")
    assert store.get_membership(HASH) == {"a.g1": True}
    server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert store.get_membership(HASH) == {"a.g1": True}
    store.close()


def test_half_an_answer_is_none(server: RedisServer) -> None:
    RedisWriter(server.url, "p").put(HASH, [f"a.g{number}" for number in range(1000)], [])
    with FaultProxy(server.port) as proxy:
        url = server.url.replace(str(server.port), str(proxy.port))
        store = RedisBigSegmentStore(url, prefix="p")
        proxy.cut_after(3000)
        with pytest.raises(StoreUnavailable):
            store.get_membership(HASH)
        proxy.pass_on()
        assert len(store.get_membership(HASH)) == 1000
        store.close()


@pytest.mark.parametrize(
    "given", [{"url": "http://x"}, {"prefix": "\ud800"}, {"timeout": 0}, {"max_connections": 0}]
)
def test_what_cannot_work_is_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        RedisBigSegmentStore(**given)


# --- a client with a real store -------------------------------------------------------------------


@pytest.mark.slow
def test_a_redis_that_is_killed_leaves_what_was_known_and_is_found_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    writer = RedisWriter(server.url, "launchdarkly")
    writer.put(HASH, ["s.g1"], [])
    writer.synchronized(now_ms())
    store = RedisBigSegmentStore(server.url)
    client = client_of(store, context_cache_time=0.001, status_poll_interval=0.05)
    statuses: list[BigSegmentStoreStatus] = []
    assert client.big_segment_status() == HEALTHY
    client.on_big_segment_status(statuses.append)
    assert seen_by(client) == (True, "HEALTHY")
    server.kill()
    until_seen(client, (True, "STORE_ERROR"))
    assert seen_by(client, Context.create("never asked")) == (False, "STORE_ERROR")
    until(lambda: statuses == [UNAVAILABLE])
    server.start()
    writer.put(HASH, [], ["s.g1"])
    writer.synchronized(now_ms())
    until_seen(client, (False, "HEALTHY"))
    until(lambda: statuses == [UNAVAILABLE, HEALTHY])
    said = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert said != []
    assert all("cannot connect" in one or "was lost" in one for one in said)
    assert (client.close()).complete


@pytest.mark.slow
def test_a_redis_that_hangs_holds_nobody_up_and_is_found_again(server: RedisServer) -> None:
    writer = RedisWriter(server.url, "launchdarkly")
    writer.put(HASH, ["s.g1"], [])
    writer.synchronized(now_ms())
    with Asking(
        RedisBigSegmentStore(server.url), patience=0.4, context_cache_time=0.001
    ) as asking:
        assert (asking.ask("user-key")).included == {"s.g1": True}
        server.pause()
        pause()
        begun = runtime.monotonic()
        membership = asking.ask("user-key")
        assert (membership.status.value, membership.included) == ("STORE_ERROR", {"s.g1": True})
        check_within(4.0, since=begun)
        begun = runtime.monotonic()
        for _ in range(20):
            assert asking.status_for("nobody") == "STORE_ERROR"
        check_within(4.0, since=begun)  # nobody asks, nobody waits
        server.resume()
        give_up = runtime.monotonic() + 10
        while asking.status_for("user-key") != "HEALTHY":
            assert runtime.monotonic() < give_up
            pause()


@pytest.mark.slow
def test_where_nothing_runs_beside_the_callers_they_wait_no_longer_than_they_may(
    server: RedisServer,
) -> None:
    asking = Asking(RedisBigSegmentStore(server.url, timeout=30.0), longest=30.0)
    asking.work.is_pumped = True
    assert (asking.big.status()).available
    server.pause()
    for keys, seconds in ((("a", "b"), 0.3), (("c",), -1.0)):
        begun = runtime.monotonic()
        found = asking.big.memberships(keys, begun + seconds)
        assert {one.status.value for one in found.values()} == {"STORE_ERROR"}
        check_within(10.0, since=begun)
    server.resume()
    assert asking.big.stop(10)


@pytest.mark.slow
def test_data_that_nobody_brings_up_to_date_is_stale(redis_url: str) -> None:
    writer = RedisWriter(redis_url, "launchdarkly")
    writer.put(HASH, ["s.g1"], [])
    store = RedisBigSegmentStore(redis_url)
    client = client_of(store, status_poll_interval=0.02, stale_after=60)
    assert seen_by(client) == (True, "STALE")
    writer.synchronized(now_ms())
    until_seen(client, (True, "HEALTHY"))
    writer.synchronized(str(int(now_ms()) - 61_000))
    until_seen(client, (True, "STALE"))
    writer.synchronized("soon")
    assert client.big_segment_status() == BigSegmentStoreStatus(available=True, stale=True)
    client.close()


def test_many_who_want_the_same_of_a_redis_cost_one_question(server: RedisServer) -> None:
    """The stores spec, section 15, B3."""
    RedisWriter(server.url, "launchdarkly").put(HASH, ["s.g1"], [])
    with Asking(RedisBigSegmentStore(server.url)) as asking:
        asking.ask("somebody")
        server.cli("CONFIG", "RESETSTAT")
        server.pause()
        seen: list[Any] = []
        begun: list[int] = []

        def ask() -> None:
            begun.append(1)
            seen.append((asking.ask("user-key")).included)

        tasks = [runtime.spawn("test", ask) for _ in range(20)]
        until(lambda: len(begun) == 20)
        pause()
        server.resume()
        assert all([task.join(10) for task in tasks])
        assert seen == [{"s.g1": True}] * 20
        assert b"cmdstat_smembers:calls=2," in server.cli("INFO", "commandstats")


def test_a_store_that_keeps_to_a_timeout_is_asked_as_cheaply_as_the_colour_allows(
    redis_url: str,
) -> None:
    """In threads on the caller's own; in asyncio everything is on the loop's anyway."""

    class Watched(RedisBigSegmentStore):
        threads: list[str] = []  # noqa: RUF012  there is one of it

        def get_membership(
            self, context_hash: str, *, timeout: float | None = None
        ) -> Mapping[str, bool]:
            assert timeout is not None
            self.threads.append(threading.current_thread().name)
            return super().get_membership(context_hash, timeout=timeout)

    here = threading.current_thread().name
    RedisWriter(redis_url, "launchdarkly").synchronized(now_ms())
    with Asking(Watched(redis_url)) as asking:
        assert (asking.big.status()).available
        assert asking.status_for("amal") == "HEALTHY"
        assert Watched.threads == [here]
        found = asking.big.memberships(("a", "b"), runtime.monotonic() + 10)
        assert [one.status.value for one in found.values()] == ["HEALTHY", "HEALTHY"]
        del Watched.threads[:]
        found = asking.big.memberships(("late",), runtime.monotonic() + 0.5)
        assert found["late"].status.value == "HEALTHY"
        assert (Watched.threads == [here]) is runtime.IS_ASYNC  # little time is left: beside
