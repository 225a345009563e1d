"""A store in Consul in trouble: late or strange answers, limits, lost leaders, missing rights."""

import http.client
import json
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from flagkeep._sync.stores.consul import ConsulStore
from flagkeep._runtime import threads as runtime
from flagkeep.errors import StoreClosed, StoreUnavailable
from flagkeep.storage.consul_layout import Names
from tests._sync import consul_stores
from tests._sync.consul_stores import ME, many, sized, value
from tests._sync.store_suite import flag, flags, full, part, refs
from tests._sync.waiting import pause, until
from tests.limits import check_within
from tests.servers.consul import ConsulCluster, ConsulServer
from tests.servers.consul_faults import ConsulFaults
from tests.servers.http_faults import Ask, Reply, Request

opened = consul_stores.opened
faults = consul_stores.faults
beset = consul_stores.beset
content = consul_stores.content


# --- where transactions are not to be had ---------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("consul_here")
def test_an_agent_that_lets_us_only_read_is_read_from() -> None:
    with ConsulServer({"http_config": {"allow_write_http_from": ["192.0.2.0/24"]}}) as server:
        store = ConsulStore(server.url)
        assert value(store) is None
        assert store.get_many(refs("a", "b", "é")) == {}
        assert not (store.get_all()).initialized
        for write in (
            lambda: store.replace(full(flags(a=1)), ME),
            lambda: store.upsert(part(flags(a=1))),
            store.clear,
        ):
            with pytest.raises(StoreUnavailable, match="allow_write_http_from"):
                write()
        store.close()


def test_without_transactions_everything_is_read_by_get(
    opened: Callable[..., ConsulStore],
    beset: ConsulStore,
    faults: ConsulFaults,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "flagkeep.stores.consul")
    writer = opened()
    items = {**flags(a=1, b=2), "é": flag("é", 3)}
    writer.replace(full(items, segments=["s"]), ME)
    faults.say("PUT txn", 403, b"Access is restricted")
    assert beset.get_many(refs("a", "none", "b")) == {
        refs("a")[0]: flag("a", 1),
        refs("b")[0]: flag("b", 2),
    }
    assert beset.get_many(refs("é")) == {refs("é")[0]: flag("é", 3)}
    contents = beset.get_all()
    assert (contents.initialized, contents.flags) == (True, items)
    assert contents.segments == {"s": flag("s")}
    writer.clear()
    contents = beset.get_all()
    assert (contents.initialized, contents.flags, contents.bad) == (False, {}, ())
    assert faults.counts["PUT txn"] == 1
    assert "reads key by key" in caplog.text
    for store in (writer, beset):
        store.close()


# --- half of a set --------------------------------------------------------------------------------


@pytest.mark.parametrize("has_transactions", [True, False])
def test_a_set_that_somebody_is_replacing_is_told_from_a_whole_one(
    *,
    has_transactions: bool,
    opened: Callable[..., ConsulStore],
    beset: ConsulStore,
    faults: ConsulFaults,
    consul_server: ConsulServer,
    consul_prefix: str,
) -> None:
    if not has_transactions:
        faults.say("PUT txn", 403, b"Access is restricted")
    writer, place = opened(), Names(consul_prefix).record
    writer.replace(full(flags(a=1)), ME)
    whole = writer.read_record()
    assert whole is not None
    assert (beset.get_all()).unfinished is None
    begun = msgspec.structs.replace(whole, replacing=True)
    consul_server.put(place, begun.encode())
    contents = beset.get_all()
    assert (contents.flags, contents.unfinished) == (flags(a=1), begun)
    consul_server.put(place, "no record")
    assert (beset.get_all()).unfinished is None
    for store in (writer, beset):
        store.close()


def test_without_transactions_a_set_that_was_replaced_meanwhile_is_no_whole_one(
    opened: Callable[..., ConsulStore],
    beset: ConsulStore,
    faults: ConsulFaults,
    consul_server: ConsulServer,
    consul_prefix: str,
) -> None:
    writer, place = opened(), Names(consul_prefix).record
    writer.replace(full(flags(a=1)), ME)
    whole = writer.read_record()
    assert whole is not None
    later = msgspec.structs.replace(whole, replaces=whole.replaces + 1)

    def replace_meanwhile(request: Request, ask: Ask) -> Reply:
        reply = ask(request)
        consul_server.put(place, later.encode())
        return reply

    faults.say("PUT txn", 403, b"Access is restricted")
    faults.on("GET kv", replace_meanwhile, times=1, where=lambda one: "features" in one.path)
    assert (beset.get_all()).unfinished == later
    assert (beset.get_all()).unfinished is None
    for store in (writer, beset):
        store.close()


# --- time limits and outages ----------------------------------------------------------------------


@pytest.mark.parametrize("keys", [("a",), ("a", "b")])
def test_a_server_that_says_nothing_is_waited_for_as_long_as_asked(
    keys: tuple[str, ...], beset: ConsulStore, faults: ConsulFaults
) -> None:
    beset.replace(full(flags(a=1)))
    faults.hang(None)
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"consul 127.*get_many .* within 0\.1 s.*leader"):
        beset.get_many(refs(*keys), timeout=0.1)
    with pytest.raises(StoreUnavailable, match="get_all"):
        beset.get_all(timeout=0.1)
    with pytest.raises(StoreUnavailable, match="is_initialized"):
        beset.is_initialized(timeout=0.1)
    check_within(2, since=begun)
    faults.pass_on()
    assert value(beset, timeout=5.0) == 1
    beset.close()


@pytest.mark.slow
@pytest.mark.parametrize("operation", [None, "PUT txn"])
def test_nobody_waits_longer_in_silence_for_a_whole_environment_than_for_one_flag(
    operation: str | None, faults: ConsulFaults, consul_prefix: str
) -> None:
    store = ConsulStore(faults.url, prefix=consul_prefix, timeout=0.5)
    store.replace(full(many(100)), ME)
    faults.hang(operation)
    for ask in (
        store.get_all,
        lambda: store.replace(full(many(100)), ME),
        lambda: store.upsert(part(many(100, 2))),
        store.clear,
    ):
        begun = runtime.monotonic()
        with pytest.raises(StoreUnavailable, match=r"nothing came for 0\.5 s.*leader"):
            ask()
        check_within(1.5, since=begun)
    store.close()


@pytest.mark.slow
def test_an_answer_may_take_longer_as_long_as_it_keeps_coming(
    faults: ConsulFaults, consul_prefix: str
) -> None:
    store = ConsulStore(faults.url, prefix=consul_prefix, timeout=0.5)
    store.replace(full(flags(a=1)))
    faults.drip(None, every=0.004)
    begun = runtime.monotonic()
    assert (store.get_all()).flags == flags(a=1)
    assert runtime.monotonic() - begun > 0.6
    faults.pass_on()
    faults.drip(None, every=1.5)  # too long between two bytes
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"nothing came for 0\.5 s"):
        store.get_all()
    check_within(1.5, since=begun)
    faults.pass_on()
    faults.drip(None, every=0.1)  # never for long, but for ever
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"within 5 s"):
        store.get_all()
    check_within(7, since=begun)
    store.close()


def test_an_answer_that_drips_in_is_bounded_too(
    beset: ConsulStore, faults: ConsulFaults
) -> None:
    beset.replace(full(flags(a=1)))
    faults.drip(None, every=0.02)
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match="within"):
        beset.get_all(timeout=0.2)
    check_within(1, since=begun)
    beset.close()


@pytest.mark.slow
def test_the_stores_own_limit_counts_where_none_is_given(
    faults: ConsulFaults, consul_prefix: str
) -> None:
    store = ConsulStore(faults.url, prefix=consul_prefix, timeout=0.1)
    faults.hang(None)
    begun = runtime.monotonic()
    for ask in (
        lambda: value(store),
        lambda: value(store, timeout=60.0),
        store.is_initialized,
        store.read_record,
    ):
        with pytest.raises(StoreUnavailable, match=r"within 0\.1 s"):
            ask()
    with pytest.raises(StoreUnavailable, match=r"nothing came for 0\.1 s"):
        store.get_all()
    check_within(3, since=begun)
    store.close()


def test_an_answer_that_is_cut_off_fails_and_the_next_is_whole(
    beset: ConsulStore, faults: ConsulFaults
) -> None:
    beset.replace(full(many(20)))
    faults.cut("PUT txn", after_bytes=700, times=1)
    with pytest.raises(StoreUnavailable, match="broke"):
        beset.get_all()
    assert (beset.get_all()).flags == many(20)
    faults.hang_up()
    assert value(beset, "f1") == 1  # a connection that was closed is no outage
    beset.close()


@pytest.mark.slow
@pytest.mark.usefixtures("consul_here")
def test_a_server_that_is_gone_and_comes_back() -> None:
    with ConsulServer(on_disk=True) as server:
        store = ConsulStore(server.url)
        store.replace(full(flags(a=1)), ME)
        server.kill()
        with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{server.port}.*does it run"):
            value(store)
        with pytest.raises(StoreUnavailable, match="replace failed"):
            store.replace(full(flags(a=2)), ME)
        server.start()
        assert value(store) == 1
        server.restart()
        assert store.upsert(part(flags(a=3))) == {}
        assert value(store) == 3
        store.close()


def test_something_else_than_a_consul_is_named_as_such(
    beset: ConsulStore, faults: ConsulFaults
) -> None:
    asks: list[Callable[[], Any]] = [
        lambda: value(beset),
        lambda: beset.get_many(refs("a", "b")),
        beset.get_all,
        beset.is_initialized,
        beset.read_record,
        lambda: beset.replace(full({})),
        lambda: beset.upsert(part(flags(a=1))),
    ]
    for status, body in ((200, b"<html>"), (404, b"<html>nothing here</html>"), (200, b"{}")):
        faults.answer(None, status, body)
        for ask in asks:
            with pytest.raises(StoreUnavailable, match="is not a Consul"):
                ask()
        faults.pass_on()
    faults.garble("PUT kv")
    with pytest.raises(StoreUnavailable, match="is not a Consul"):
        beset.replace(full({"big": sized("big", 1, 450_000)}))
    beset.close()


@pytest.mark.parametrize("is_old", [False, True])
def test_a_transaction_that_fails_for_another_reason_is_an_error(
    beset: ConsulStore, faults: ConsulFaults, *, is_old: bool
) -> None:
    def failing(request: Request, ask: Ask) -> Reply:
        del ask
        what = "hunter2"
        if is_old and b"get-or-empty" in request.body:
            what = "unknown KV operation: get-or-empty"
        text = json.dumps({"Results": None, "Errors": [{"OpIndex": 0, "What": what}]})
        return Reply(409, text.encode(), {"Content-Type": "application/json"})

    faults.on("PUT txn", failing)
    for ask in (
        beset.get_all,
        lambda: beset.get_many(refs("a", "b")),
        lambda: beset.upsert(part(flags(a=1))),
        lambda: beset.replace(full({})),
        beset.clear,
    ):
        with pytest.raises(StoreUnavailable, match="nothing of it was done") as caught:
            ask()
        assert "hunter2" not in str(caught.value)
    faults.pass_on()
    faults.on("PUT txn", failing, where=lambda request: b'"cas"' in request.body)
    with pytest.raises(StoreUnavailable, match="nothing of it was done"):
        beset.upsert(part(flags(a=1)))
    assert beset.poll_changes() is None
    beset.close()


@pytest.mark.slow
def test_who_is_asked_too_much_is_asked_again_a_little_later(
    beset: ConsulStore, faults: ConsulFaults
) -> None:
    faults.throttle(None, times=2)
    beset.replace(full(flags(a=1)), ME)
    faults.throttle_leader(None, times=3)
    assert beset.upsert(part(flags(a=2))) == {}
    faults.throttle(None, times=2)
    assert value(beset) == 2
    faults.answer(None, 429, b"", {"Retry-After": "1"}, times=1)
    begun = runtime.monotonic()
    assert value(beset) == 2
    assert runtime.monotonic() - begun >= 0.9
    faults.throttle(None)
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"asked too much \(HTTP 429\)"):
        value(beset, timeout=0.2)
    faults.pass_on()
    faults.answer(None, 503, b"", {"Retry-After": "60"})
    with pytest.raises(StoreUnavailable, match=r"asked too much \(HTTP 503\)"):
        value(beset)
    faults.pass_on()
    faults.answer(None, 503, b"<html>no server is available")
    with pytest.raises(StoreUnavailable, match=r"HTTP 503: .* cannot answer now"):
        beset.get_all()
    check_within(1, since=begun)
    faults.pass_on()
    faults.throttle(None, times=1)
    faults.hang(None)
    with pytest.raises(StoreUnavailable, match=r"asked too much \(HTTP 429\)"):
        value(beset, timeout=0.2)  # what was heard says more than the silence after it
    beset.close()


class Agent(ConsulServer):
    """One that keeps nothing itself, and asks a server about everything."""

    def __init__(self, server: ConsulServer, settings: dict[str, Any]) -> None:
        joined = [f"127.0.0.1:{server._ports['serf_lan']}"]
        super().__init__({**settings, "retry_join": joined, "retry_interval": "200ms"})

    def is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.call("GET", "/v1/kv/none", timeout=5).status == http.client.NOT_FOUND
        return False

    def _role(self) -> list[str]:
        return [f"-data-dir={self.folder / 'data'}"]


@pytest.mark.slow
@pytest.mark.usefixtures("consul_here")
def test_an_agent_between_that_limits_us_and_whose_server_hangs_or_is_gone() -> None:
    limits = {"limits": {"rpc_rate": 20, "rpc_max_burst": 20}}
    with ConsulServer() as server, Agent(server, limits) as agent:
        answers = [agent.call("GET", "/v1/kv/none").status for _ in range(60)]
        assert 429 in answers  # that is what it does
        store = ConsulStore(agent.url)
        store.replace(full(many(1000)), ME)
        for version in range(2, 15):
            assert store.upsert(part(many(1, version))) == {}
        for _ in range(30):
            assert value(store, "f0") == 14
        assert len((store.get_all()).flags) == 1000
        asks: list[Callable[[], Any]] = [
            lambda: value(store, "f0"),
            store.get_all,
            lambda: store.replace(full(flags(a=1)), ME),
        ]
        server.pause()
        try:
            for ask in asks:
                begun = runtime.monotonic()
                with pytest.raises(StoreUnavailable, match=r"leader|asked too much"):
                    ask()
                check_within(4, since=begun)
        finally:
            server.resume()
        server.kill()
        for ask in asks:
            with pytest.raises(
                StoreUnavailable, match=r"does not reach|no server|leader|asked too"
            ):
                ask()
        store.close()


@pytest.mark.slow
def test_many_callers_at_a_time_take_turns(faults: ConsulFaults, consul_prefix: str) -> None:
    store = ConsulStore(faults.url, prefix=consul_prefix, timeout=20.0)
    store.replace(full(flags(a=1)))
    at_once: list[int] = []
    here = Counter[str]()

    def counted(request: Request, ask: Ask) -> Reply:
        here["now"] += 1
        at_once.append(here["now"])
        try:
            return ask(request)
        finally:
            here["now"] -= 1

    faults.on("GET kv", counted)
    seen: list[int | None] = []

    def ask() -> None:
        seen.append(value(store))

    tasks = [runtime.spawn("r", ask) for _ in range(250)]  # of one address it takes 200
    for task in tasks:
        assert task.join(30)
    assert seen == [1] * 250
    assert max(at_once) <= 16
    store.close()


def test_a_turn_that_never_comes_is_waited_for_as_long_as_asked(
    beset: ConsulStore, faults: ConsulFaults
) -> None:
    beset.replace(full(flags(a=1)))
    faults.hang("GET kv")
    ended: list[object] = []

    def ask() -> None:
        try:
            ended.append(value(beset, timeout=20.0))
        except StoreUnavailable as exc:  # it was hung up on
            ended.append(exc)

    tasks = [runtime.spawn("r", ask) for _ in range(16)]
    until(lambda: faults.counts["GET kv"] == 16 + 4)
    begun = runtime.monotonic()
    with pytest.raises(StoreUnavailable, match=r"16 requests are under way.* within 0\.1 s"):
        beset.get_all(timeout=0.1)
    check_within(1, since=begun)
    faults.pass_on()
    for task in tasks:
        assert task.join(10)
    assert len(ended) == 16
    assert value(beset) == 1
    assert beset.get_many(refs("a", "b")) != {}
    beset.close()


@pytest.mark.slow
def test_a_leader_that_is_lost_is_an_error_until_there_is_another(
    consul_cluster: ConsulCluster,
) -> None:
    one, *others = consul_cluster.followers()
    store = ConsulStore(one.url)
    stale = ConsulStore(one.url, consistency="stale")
    store.replace(full(flags(a=1)), ME)
    consul_cluster.leader().kill()
    consul_cluster.leader()
    assert store.upsert(part(flags(a=2))) == {}
    while value(stale) != 2:  # it may lag behind
        pause()
    for other in others:
        other.kill()
    give_up = runtime.monotonic() + 30
    said = ""
    while "no leader" not in said:  # who has led goes on for a moment
        assert runtime.monotonic() < give_up, said
        try:
            store.get_all()
        except StoreUnavailable as exc:
            said = exc.reason
    with pytest.raises(StoreUnavailable, match="no leader"):
        store.replace(full(flags(a=3)), ME)
    assert value(stale) == 2
    assert (stale.get_all()).flags == flags(a=2)
    others[0].start()
    consul_cluster.leader()
    assert store.upsert(part(flags(a=3))) == {}
    for each in (store, stale):
        each.close()


# --- where and as whom ----------------------------------------------------------------------------


def test_consistency_and_datacenter_are_asked_for(
    faults: ConsulFaults, consul_prefix: str
) -> None:
    for consistency in ("default", "consistent", "stale"):
        store = ConsulStore(
            faults.url, prefix=consul_prefix, consistency=consistency, datacenter="dc1"
        )
        store.replace(full(flags(a=1), segments=["s"]), ME)
        store.upsert(part(flags(a=2)))
        writing = [one.path for one in faults.requests]
        faults.requests.clear()
        value(store)
        store.get_all()
        store.get_many(refs("a", "b"))
        store.is_initialized()
        store.read_record()
        reading = [one.path for one in faults.requests]
        faults.requests.clear()
        assert all("dc=dc1" in path for path in [*writing, *reading])
        named = [path.count(name) for path in reading for name in ("consistent", "stale")]
        expected = {"default": [0, 0], "consistent": [1, 0], "stale": [0, 1]}[consistency]
        assert named == expected * 5
        # What decides about a write is never old.
        assert not any(name in path for path in writing for name in ("consistent", "stale"))
        store.close()


def test_a_datacenter_that_is_not_there_is_named(
    opened: Callable[..., ConsulStore],
) -> None:
    store = opened(datacenter="mars")
    for ask in (lambda: value(store), store.get_all, lambda: store.replace(full({}))):
        with pytest.raises(StoreUnavailable, match="no such datacenter"):
            ask()
    store.close()


def test_a_consul_without_namespaces_is_never_used_as_if_it_had_them(
    opened: Callable[..., ConsulStore], content: Callable[[], dict[str, bytes]]
) -> None:
    for place in ({"namespace": "team"}, {"partition": "east"}):
        store = opened(**place)
        asks: list[Callable[[], Any]] = [
            store.get_all,
            lambda: store.get_many(refs("a", "b")),  # noqa: B023  called at once
            lambda: store.upsert(part(flags(a=1))),  # noqa: B023
            lambda: store.replace(full(flags(a=1)), ME),  # noqa: B023
            store.clear,
        ]
        for ask in asks:
            with pytest.raises(StoreUnavailable, match="not Consul Enterprise"):
                ask()
        store.close()
    assert content() == {}


def test_every_step_says_in_which_namespace_and_partition_it_is(
    faults: ConsulFaults, consul_prefix: str
) -> None:
    # The Consul of the tests has none of them: it refuses GETs, and heeds them nowhere else.
    faults.answer("GET kv", 404, b"", {"X-Consul-Index": "1"})
    store = ConsulStore(faults.url, prefix=consul_prefix, namespace="n", partition="p")
    store.replace(full(flags(a=1), segments=["s"]), ME)
    store.upsert(part({"a": flag("a", 2), "é": flag("é")}))
    store.get_many(refs("a", "é"))
    assert (store.get_all()).initialized
    store.clear()
    assert all("ns=n&partition=p" in one.path for one in faults.requests)
    steps = [step["KV"] for one in faults.requests if one.body for step in json.loads(one.body)]
    assert len(steps) > 10
    assert {(one["Namespace"], one["Partition"]) for one in steps} == {("n", "p")}
    # Two lists of keys, two of neighbours, and the question whether there are namespaces.
    assert faults.counts["GET kv"] == 5
    store.close()


def test_a_closed_store_says_so_whatever_is_asked(
    beset: ConsulStore, faults: ConsulFaults
) -> None:
    beset.replace(full(flags(a=1)))
    faults.hang(None)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            beset.get_all()
        except StoreUnavailable as exc:
            errors.append(exc)
        except StoreClosed as exc:
            errors.append(exc)

    task = runtime.spawn("r", wait)
    until(lambda: faults.counts["PUT txn"] == 3)
    beset.close()
    beset.close()
    assert task.join(10)
    assert [type(one) for one in errors] == [StoreClosed]
    with pytest.raises(StoreClosed):
        beset.clear()


def test_closing_ends_writes_and_those_who_wait_for_their_turn(
    faults: ConsulFaults, consul_prefix: str, consul_server: ConsulServer
) -> None:
    store = ConsulStore(faults.url, prefix=consul_prefix, timeout=60.0)
    store.replace(full(flags(a=1)))
    faults.requests.clear()
    faults.hang("PUT txn", where=lambda request: b'"set"' in request.body, after=1)
    faults.hang("GET kv", where=lambda request: "raw" in request.path)
    ended: list[str] = []

    def noted(work: Callable[[], Any]) -> None:
        try:
            work()
            ended.append("done")
        except Exception as exc:  # noqa: BLE001  told to the test
            ended.append(type(exc).__name__)

    def of(work: Callable[[], Any]) -> Any:
        return lambda: noted(work)

    begun = runtime.monotonic()
    tasks = [runtime.spawn("w", of(lambda: store.replace(full(many(150)), ME)))]
    until(lambda: sum(b'"set"' in one.body for one in faults.requests) == 2)
    tasks += [runtime.spawn("r", of(lambda: value(store))) for _ in range(40)]
    until(lambda: sum("raw" in one.path for one in faults.requests) == 15)
    store.close()
    for task in tasks:
        assert task.join(10)
    assert ended == ["StoreClosed"] * 41
    check_within(20, since=begun)
    assert len(consul_server.content(f"{consul_prefix}/features/")) == 64  # a, and the first batch


def test_it_names_itself_without_secrets() -> None:
    store = ConsulStore("consul://[::1]", prefix="p", token="hunter2")
    assert store.label == "consul [::1]:8500"
    shown = f"{store!r} {vars(store)!r} {vars(store._requests)!r}"
    assert "consul [::1]:8500 prefix='p'>" in shown
    assert "hunter2" not in shown
    assert (store.name, store.poll_interval) == ("consul", None)
