"""Connections to a Redis where threads, tasks, event loops and processes differ."""

import asyncio
import gc
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
import redis
import redis.asyncio
from redis._parsers.base import BaseParser

from flagkeep._runtime import redis_errors
from flagkeep.errors import ConfigError, StoreCorrupt, StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind
from flagkeep.stores import AsyncRedisStore, RedisStore
from tests._async.store_suite import flags
from tests._async.waiting import until
from tests.limits import check_within
from tests.servers.redis import RedisServer

A, B = ItemRef(Kind.FLAG, "a"), ItemRef(Kind.FLAG, "b")
DATA = ChangeSet(full=True, flags=flags(a=1, b=2))


@pytest.fixture(scope="module")
def own_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(own_server: RedisServer) -> Iterator[RedisServer]:
    own_server.cli("FLUSHALL")
    with closing(RedisStore(own_server.url)) as store:
        store.replace(DATA)
    yield own_server
    own_server.resume()


def clients(server: RedisServer, name: str) -> int:
    """Return how many connections of this name the server has."""
    return int(server.cli("CLIENT", "LIST").count(b"name=" + name.encode() + b" "))


def named(server: RedisServer, name: str) -> dict[str, Any]:
    return {"url": server.url, "options": {"client_name": name}}


# --- colours --------------------------------------------------------------------------------------


def test_a_client_of_the_other_colour_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"redis\.asyncio\.Redis, not a redis\.client\.Redis"):
        AsyncRedisStore(client=redis.Redis())  # type: ignore[arg-type]  # that is what is wrong
    with pytest.raises(ConfigError, match=r"redis\.Redis, not a redis\.asyncio\.client\.Redis"):
        RedisStore(client=redis.asyncio.Redis())  # type: ignore[arg-type]  # likewise
    with pytest.raises(ConfigError, match=r"pool must be a redis\.ConnectionPool"):
        RedisStore(pool=redis.asyncio.ConnectionPool())  # type: ignore[arg-type]  # likewise
    with pytest.raises(ConfigError, match="client must be"):
        RedisStore(client="redis://h")  # type: ignore[arg-type]  # likewise


# --- threads and tasks ----------------------------------------------------------------------------


@pytest.mark.slow
def test_threads_share_a_few_connections(server: RedisServer) -> None:
    store = RedisStore(**named(server, "threads"), max_connections=3)
    wrong: list[object] = []

    def ask(ref: ItemRef, version: int) -> None:
        for _ in range(100):
            found = store.get_many([ref], timeout=5.0)
            if found[ref].version != version:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=args) for args in [(A, 1), (B, 2)] * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert 1 <= clients(server, "threads") <= 3
    store.close()


async def test_a_cancelled_question_leaves_no_answer_behind(server: RedisServer) -> None:
    store = AsyncRedisStore(**named(server, "cancelled"), max_connections=1)
    assert (await store.get_many([A]))[A].version == 1
    server.pause()
    task = asyncio.create_task(store.get_many([A]))
    waiting = asyncio.create_task(store.get_many([A]))
    await asyncio.sleep(0.02)
    waiting.cancel()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    with suppress(asyncio.CancelledError):
        await waiting
    server.resume()
    assert (await store.get_many([B]))[B].version == 2
    await store.aclose()


async def test_many_cancelled_callers_do_not_use_up_the_connections(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url, max_connections=2)
    for number in range(40):
        task = asyncio.create_task(store.get_many([A]))
        for _ in range(number % 10):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (await store.get_many([B], timeout=2.0))[B].version == 2
    await store.aclose()


# --- event loops ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_a_store_goes_through_event_loops_and_leaves_nothing(*, tls: bool) -> None:
    with RedisServer(tls=tls) as server:
        options: dict[str, Any] = {"client_name": "loops"}
        if tls:
            options["ssl_ca_certs"] = server.ca_file
        store = AsyncRedisStore(server.url, options=options)
        for number in range(1, 5):
            asyncio.run(store.replace(ChangeSet(full=True, flags=flags(a=number))))
            found = asyncio.run(store.get_many([A]))
            assert found[A].version == number
        gc.collect()
        assert clients(server, "loops") <= 2
        asyncio.run(store.aclose())
        gc.collect()  # a warning about anything that was left open is an error here


def test_two_event_loops_at_a_time_do_not_meet(server: RedisServer) -> None:
    store = AsyncRedisStore(**named(server, "two"))
    seen: list[int] = []
    together = threading.Barrier(2)

    async def ask(ref: ItemRef) -> None:
        together.wait(10)
        for _ in range(50):
            seen.append((await store.get_many([ref]))[ref].version)  # noqa: PERF401  in turn
        together.wait(10)
        if ref is A:
            await store.aclose()
        together.wait(10)
        await until(lambda: clients(server, "two") == 0)

    threads = [threading.Thread(target=asyncio.run, args=(ask(ref),)) for ref in (A, B)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [1] * 50 + [2] * 50


# --- forks ----------------------------------------------------------------------------------------


def in_child(check: Any) -> int:
    """Run `check` in a forked child; return its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_has_connections_of_its_own(server: RedisServer) -> None:
    store = RedisStore(**named(server, "family"))
    assert store.get_many([A])[A].version == 1
    before = clients(server, "family")

    def check() -> None:
        assert store._connections._pools.here().lines == set()
        assert store.get_many([B])[B].version == 2
        assert clients(server, "family") == before + 1
        assert store.upsert(ChangeSet(full=False, flags=flags(a=5))) == {}
        store.close()

    assert in_child(check) == 0
    assert store.get_many([A])[A].version == 5
    assert clients(server, "family") == before
    store.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_asks_harms_nobody(server: RedisServer) -> None:
    store = RedisStore(server.url, max_connections=2)
    stop = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            if store.get_many([A])[A].version != 1:
                wrong.append(1)

    thread = threading.Thread(target=ask)
    thread.start()

    def check() -> None:
        for _ in range(5):
            assert store.get_many([B], timeout=5.0)[B].version == 2

    try:
        assert [in_child(check) for _ in range(5)] == [0] * 5
    finally:
        stop.set()
        thread.join()
    assert wrong == []
    assert store.get_many([B])[B].version == 2
    store.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_an_asyncio_program_has_connections_of_its_own(server: RedisServer) -> None:
    store = AsyncRedisStore(**named(server, "family"))

    async def version_of(ref: ItemRef) -> int:
        return (await store.get_many([ref]))[ref].version

    def child() -> None:
        seen: list[int] = []
        # The loop that the child inherited runs on this thread.
        thread = threading.Thread(target=lambda: seen.append(asyncio.run(version_of(B))))
        thread.start()
        thread.join()
        assert seen == [2]

    async def parent() -> None:
        assert await version_of(A) == 1
        before = clients(server, "family")
        assert in_child(child) == 0
        assert await version_of(B) == 2
        assert clients(server, "family") == before
        await store.aclose()

    asyncio.run(parent())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_what_a_task_holds_during_a_fork_stays_its_parents(server: RedisServer) -> None:
    store = AsyncRedisStore(server.url)

    def give_up() -> None:
        with suppress(StopIteration):  # a step of the task in the child; the loop is the parent's
            lease.__aexit__(TimeoutError, TimeoutError(), None).send(None)

    async with store._connections.lease("get_many", timeout=5.0) as lease:
        assert in_child(give_up) == 0
        assert await lease.ask([(b"PING",)]) == [b"PONG"]
    await store.aclose()


# --- what answers is something else ---------------------------------------------------------------


@contextmanager
def answering(*parts: bytes, every: float = 0.0) -> Iterator[str]:
    """Answer whatever is asked with these parts; yield the URL to ask at."""
    listener = socket.create_server(("127.0.0.1", 0))
    is_over = threading.Event()

    def answer() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.recv(1000)
                    for part in parts:
                        connection.sendall(part)
                        is_over.wait(every)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
    is_over.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.slow
async def test_an_answer_that_drips_is_bounded_by_the_deadline() -> None:
    with answering(b"*1\r\n$1000\r\n", *[b"x"] * 1000, every=0.02) as url:
        store, other = RedisStore(url), AsyncRedisStore(url)
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"within 0\.2 s"):
            store.get_many([A], timeout=0.2)
        assert time.monotonic() - begun > 0.15
        check_within(0.4, since=begun)
        with pytest.raises(StoreUnavailable, match=r"within 0\.2 s"):
            await other.get_many([A], timeout=0.2)
        check_within(0.8, since=begun)
        store.close()
        await other.aclose()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$many\r\n", b"*?\r\n"])
async def test_what_is_no_redis_is_said_to_be_none(answer: bytes) -> None:
    with answering(answer) as url:
        store, other = RedisStore(url), AsyncRedisStore(url)
        with pytest.raises(StoreUnavailable, match="no Redis server"):
            store.get_many([A])
        with pytest.raises(StoreUnavailable, match="no Redis server"):
            await other.get_many([A])
        store.close()
        await other.aclose()


SAID = {
    "WRONGPASS invalid username-password pair or user is disabled.": "refuses user name and",
    "NOAUTH Authentication required.": "asks for a password",
    "ERR invalid password": "refuses user name and password",
    "NOPERM User r has no permissions to run the 'hset' command": "the 'hset' command",
    "READONLY You can't write against a read only replica.": "read-only replica",
    "OOM command not allowed when used memory > 'maxmemory'.": "maxmemory",
    "LOADING Redis is loading the dataset in memory": "loading its data",
    "MISCONF Redis is configured to save RDB snapshots, but": "save its data to disk",
    "CROSSSLOT Keys in request don't hash to the same slot": "hash tag",
    "MOVED 3999 127.0.0.1:6381": "hash tag",
    "CLUSTERDOWN Hash slot not served": "the cluster is down",
    "MASTERDOWN Link with MASTER is down": "lost its master",
    "ERR max number of clients reached": "too many clients",
    "ERR unknown command 'AUTH', with args beginning with: 'u' 'secret' ": "unknown command 'AUTH'",
    "ERR something new": "the server refuses it: ",
}


def from_server(text: str) -> Exception:
    """Return what redis-py makes of a refusal."""
    parser: Any = BaseParser
    exc: Exception = parser.parse_error(text)
    return exc


@pytest.mark.parametrize("text", SAID)
def test_every_refusal_says_what_to_do(text: str) -> None:
    exc = from_server(text)
    error = redis_errors.translated(exc, "redis h:1/0", "get_all", timeout=2)
    assert SAID[text] in error.reason
    assert "secret" not in str(error)
    assert str(error).startswith("redis h:1/0: get_all failed: ")


def test_a_wrong_type_names_the_key_only_where_it_is_known() -> None:
    exc = from_server("WRONGTYPE Operation against a key holding the wrong kind")
    error = redis_errors.refusal(exc, "redis h", "upsert", (b"HGET", b"p:features", b"a"))
    assert isinstance(error, StoreCorrupt)
    assert "p:features" in error.reason
    assert "a key of this prefix" in redis_errors.refusal(exc, "redis h", "upsert").reason


def test_errors_of_the_system_say_what_to_check() -> None:
    lost = redis.ConnectionError("Connection closed by server.")
    assert "was lost" in redis_errors.translated(lost, "r", "x", timeout=1).reason
    many = redis.ConnectionError("Too many connections")
    assert "max_connections" in redis_errors.translated(many, "r", "x", timeout=1).reason
    late = redis.TimeoutError("Timeout reading from socket")
    assert redis_errors.translated(late, "r", "x", timeout=0.25).reason == "no answer within 0.25 s"
    refused = ConnectionRefusedError(111, "Connection refused")
    assert "is the server running" in redis_errors.translated(refused, "r", "x", timeout=1).reason
