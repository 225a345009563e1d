"""Items read one by one: the cache's time, the last known good, merged reads, one deadline."""

from typing import Any

import pytest

from flagkeep._sync import store_reader
from flagkeep._sync.client import Client
from flagkeep._runtime import threads as runtime
from flagkeep.config import CachePolicy, Config, StorePolicy
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.context import Context
from flagkeep.model.item import Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage import freshness
from flagkeep.storage.contents import WriterRecord
from tests._sync.hand_source import HandSource, changes, environment, flag
from tests._sync.slow_store import SlowStore
from tests._sync.waiting import pause, until, until_value
from tests.limits import check_within

USER = Context.create("user-key")
ONE_BY_ONE = StorePolicy(prefetch=False)
FOR_EVER = CachePolicy.forever()
SHORT = CachePolicy(0.05)
OFF = CachePolicy.off()


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reader, "RETRY_AFTER", 0.02)
    monkeypatch.setattr(store_reader, "HEARTBEAT", 0.1)


def reading(store: SlowStore, cache: CachePolicy, **policy: Any) -> Client:
    """Return a client in daemon mode that reads items one by one."""
    settings = StorePolicy(**{"prefetch": False, **policy})
    return Client(Config(daemon=True, cache=cache, store_policy=settings), store=store)


def filled(*flags: dict[str, Any], **more: Any) -> SlowStore:
    store = SlowStore()
    store.replace(environment(*flags, **more))
    return store


# --- the cache's time --------------------------------------------------------------------------


def test_for_ever_reads_an_item_once() -> None:
    store = filled(flag("f", "a"))
    with reading(store, FOR_EVER) as client:
        for _ in range(5):
            assert client.variation("f", USER, None) == "a"
        assert store.reads == [("f",)]
        assert store.full_reads == 0


def test_a_miss_is_remembered_too() -> None:
    store = filled()
    with reading(store, FOR_EVER) as client:
        for _ in range(5):
            assert client.variation("none", USER, "dflt") == "dflt"
        assert store.reads == [("none",)]


def test_off_reads_every_time() -> None:
    store = filled(flag("f", "a"))
    with reading(store, OFF) as client:
        for _ in range(5):
            assert client.variation("f", USER, None) == "a"
        store.upsert(changes(flag("f", "b", version=2)))
        assert client.variation("f", USER, None) == "b"
        assert store.count("f") == 6


def test_after_its_time_an_item_is_read_again_by_who_wants_it() -> None:
    store = filled(flag("f", "a"), flag("g", "a"))
    with reading(store, SHORT) as client:
        assert client.variation("f", USER, None) == "a"
        assert client.variation("missing", USER, "dflt") == "dflt"
        store.upsert(changes(flag("f", "b", version=2), flag("missing", "c")))
        until_value(client, "f", USER, "b")
        until_value(client, "missing", USER, "c")
        assert store.count("g") == 0


def test_everything_a_flag_needs_is_read_in_few_steps_and_cached() -> None:
    first = flag("f", "a", prerequisites=[{"key": name, "variation": 0} for name in "pqr"])
    store = filled(first, flag("p"), flag("q"), flag("r"))
    with reading(store, FOR_EVER) as client:
        for _ in range(3):
            assert client.variation("f", USER, None) == "a"
        assert store.reads == [("f",), ("p", "q", "r")]


def test_misses_are_bounded_and_live_items_are_never_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(freshness, "MOST_MISSES", 10)
    names = [f"f{number}" for number in range(50)]
    store = filled(*(flag(name, "a") for name in names))
    with reading(store, FOR_EVER) as client:
        for name in names:
            client.variation(name, USER, None)
        for number in range(30):
            client.variation(f"none{number}", USER, None)
        reads = len(store.reads)
        for name in names:
            assert client.variation(name, USER, None) == "a"
        for number in range(20, 30):
            client.variation(f"none{number}", USER, None)
        assert len(store.reads) == reads
        client.variation("none0", USER, None)
        assert len(store.reads) == reads + 1


def test_all_flags_are_made_of_the_same_items() -> None:
    store = filled(flag("f", "a"), flag("g", "a"))
    with reading(store, FOR_EVER) as client:
        assert client.variation("f", USER, None) == "a"
        assert (client.all_flags(USER)).to_values() == {"f": "a", "g": "a"}
        store.upsert(changes(flag("g", "b", version=2)))
        assert (client.all_flags(USER)).to_values() == {"f": "a", "g": "a"}
        assert client.variation("g", USER, None) == "a"
        assert (store.reads, store.full_reads) == ([("f",)], 1)
    with reading(filled(flag("f", "a")), OFF) as client:
        assert (client.all_flags(USER)).to_values() == {"f": "a"}


def test_all_flags_are_read_again_after_their_time() -> None:
    store = filled(flag("f", "a"))
    with reading(store, SHORT) as client:
        assert (client.all_flags(USER)).to_values() == {"f": "a"}
        store.replace(environment(flag("h", "b")))
        give_up = runtime.monotonic() + 10
        while (client.all_flags(USER)).to_values() != {"h": "b"}:
            assert runtime.monotonic() < give_up
            pause()
        assert client.variation("f", USER, "gone") == "gone"


def test_waiting_for_the_client_reads_no_items() -> None:
    store = filled(flag("f", "a"))
    with reading(store, FOR_EVER) as client:
        assert client.wait_until_ready()
        assert (store.reads, store.full_reads) == ([], 0)
        store.is_down = True
        assert not client.wait_until_ready(0.05)


# --- the last known good -----------------------------------------------------------------------


@pytest.mark.parametrize("cache", [OFF, SHORT, FOR_EVER])
def test_what_was_read_is_served_while_the_store_is_down(cache: CachePolicy) -> None:
    first = flag("f", "a", prerequisites=[{"key": "p", "variation": 0}])
    store = filled(first, flag("p"), flag("other", "x"))
    with reading(store, cache) as client:
        assert client.variation("f", USER, None) == "a"
        store.is_down = True
        for _ in range(20):
            assert client.variation("f", USER, None) == "a"
        detail = client.variation_detail("other", USER, "dflt")
        assert (detail.value, detail.reason.to_dict()["errorKind"]) == ("dflt", "EXCEPTION")
        store.is_down = False
        store.upsert(changes(flag("f", "b", version=2)))
        until_value(client, "f", USER, "b")
        until_value(client, "other", USER, "x")


def test_nobody_but_the_probe_asks_a_store_that_is_down() -> None:
    store = filled(flag("f", "a"))
    with reading(store, OFF) as client:
        assert client.variation("f", USER, None) == "a"
        store.is_down = True
        assert client.variation("f", USER, None) == "a"
        reads = len(store.reads)
        for _ in range(50):
            assert client.variation("f", USER, None) == "a"
            assert client.variation("never read", USER, "dflt") == "dflt"
        assert len(store.reads) == reads
        assert not client.status.store.available  # type: ignore[union-attr]  # it has a store


def test_an_outage_has_one_line_at_its_start_and_one_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = filled(flag("f", "a"))
    with reading(store, OFF) as client:
        assert client.variation("f", USER, None) == "a"
        store.is_down = True
        for _ in range(10):
            client.variation("f", USER, None)
        probes = store.probes
        until(lambda: store.probes > probes + 3)
        store.is_down = False
        until(lambda: client.status.store.available)  # type: ignore[union-attr]
        lines = [one.levelname for one in caplog.records if one.name == "flagkeep.store"]
        assert lines == ["ERROR", "WARNING"]


def test_one_deadline_covers_all_reads_of_an_evaluation() -> None:
    first = flag("f", "a", prerequisites=[{"key": "p", "variation": 0}])
    store = filled(first, flag("p"))
    with reading(store, OFF, deadline=0.1) as client:
        assert client.variation("f", USER, None) == "a"
        store.gate.clear()
        began = runtime.monotonic()
        assert client.variation("f", USER, None) == "a"  # the last known good, after 0.1 s
        check_within(5, since=began)
        assert store.reads[-1] == ("f",)
        store.gate.set()


def test_an_unreadable_item_is_named_and_its_last_good_stays() -> None:
    store = filled(flag("f", "a"))
    with reading(store, OFF) as client:
        assert client.variation("f", USER, None) == "a"
        broken = SerializedItem(2, deleted=False, data=b'{"key":"f","version":2,"rules":3}')
        store.upsert(ChangeSet(full=False, flags={"f": broken}))
        assert client.variation("f", USER, None) == "a"
        assert [(bad.kind, bad.key) for bad in client.status.bad_items] == [(Kind.FLAG, "f")]
        store.upsert(changes(flag("f", "c", version=3)))
        assert client.variation("f", USER, None) == "c"
        assert client.status.bad_items == ()


def test_a_tombstone_is_an_answer() -> None:
    store = filled(flag("f", "a"))
    with reading(store, OFF) as client:
        assert client.variation("f", USER, None) == "a"
        store.upsert(ChangeSet(full=False, flags={"f": tombstone(Kind.FLAG, "f", 2)}))
        assert client.variation("f", USER, "dflt") == "dflt"


def test_an_item_that_is_gone_beside_others_is_gone() -> None:
    store = filled(flag("f", "a"), flag("g", "a"))
    with reading(store, OFF) as client:
        assert client.variation("f", USER, None) == "a"
        until(lambda: store.probes > 0)
        store.forget("f")
        assert client.variation("f", USER, "dflt") == "dflt"
        assert not client.status.store.wiped  # type: ignore[union-attr]


@pytest.mark.parametrize("cache", [OFF, SHORT])
def test_data_that_is_lost_is_still_served_and_the_status_says_so(cache: CachePolicy) -> None:
    store = filled(flag("f", "a"))
    with reading(store, cache) as client:
        assert client.variation("f", USER, None) == "a"
        until(lambda: store.probes > 0)
        store.lose_everything()
        until(lambda: client.status.store.wiped)  # type: ignore[union-attr]
        for _ in range(10):
            assert client.variation("f", USER, "dflt") == "a"
        assert client.status.data_age is not None
        store.replace(environment(flag("f", "b", version=2)))
        until_value(client, "f", USER, "b")
        until(lambda: not client.status.store.wiped)  # type: ignore[union-attr]


def test_without_keep_when_wiped_what_is_gone_is_gone() -> None:
    store = filled(flag("f", "a"))
    with reading(store, OFF, keep_when_wiped=False) as client:
        assert client.variation("f", USER, None) == "a"
        until(lambda: store.probes > 0)
        store.lose_everything()
        assert client.variation("f", USER, "dflt") == "dflt"


def test_older_versions_are_served_and_the_status_says_so() -> None:
    store = filled(flag("f", "new", version=5))
    with reading(store, OFF) as client:
        assert client.variation("f", USER, None) == "new"
        store.replace(environment(flag("f", "old", version=3)))
        assert client.variation("f", USER, None) == "old"
        assert client.status.store.rolled_back  # type: ignore[union-attr]
        store.upsert(changes(flag("f", "newer", version=6)))
        assert client.variation("f", USER, None) == "newer"
        assert not client.status.store.rolled_back  # type: ignore[union-attr]


# --- several at once ---------------------------------------------------------------------------


def test_reads_of_the_same_item_are_merged() -> None:
    store = filled(flag("f", "a"), flag("g", "a"))
    with reading(store, FOR_EVER) as client:
        store.gate.clear()
        seen: list[Any] = []

        def evaluate() -> None:
            seen.append(client.variation("f", USER, None))

        tasks = [runtime.spawn("evaluation", evaluate) for _ in range(8)]
        until(lambda: len(store.reads) == 1)
        store.gate.set()
        for task in tasks:
            assert task.join(10)
        assert seen == ["a"] * 8
        assert store.reads == [("f",)]


def test_who_waits_for_anothers_read_gets_its_failure() -> None:
    store = filled(flag("f", "a"))
    with reading(store, FOR_EVER) as client:
        store.gate.clear()
        seen: list[Any] = []

        def evaluate() -> None:
            seen.append(client.variation("f", USER, "dflt"))

        tasks = [runtime.spawn("evaluation", evaluate) for _ in range(3)]
        until(lambda: len(store.reads) == 1)
        store.is_down = True
        store.gate.set()
        for task in tasks:
            assert task.join(10)
        assert seen == ["dflt"] * 3
        assert store.reads == [("f",)]


def test_with_the_cache_off_no_evaluation_gets_an_answer_older_than_itself() -> None:
    store = filled(flag("f", "a"))
    with reading(store, OFF) as client:
        store.gate.clear()
        early: list[Any] = []

        def evaluate() -> None:
            early.append(client.variation("f", USER, None))

        task = runtime.spawn("evaluation", evaluate)
        until(lambda: len(store.reads) == 1)
        store.upsert(changes(flag("f", "b", version=2)))
        store.gate.set()
        assert client.variation("f", USER, None) == "b"
        assert task.join(10)
        # the slow answer, which began before, does not take the newer one's place
        store.is_down = True
        assert client.variation("f", USER, None) == "b"


# --- connected, with items read through the store ----------------------------------------------


def connected(store: SlowStore, source: HandSource, cache: CachePolicy) -> Client:
    config = Config(source=source, cache=cache, store_policy=ONE_BY_ONE)
    return Client(config, store=store)


def test_a_connected_client_reads_through_its_store() -> None:
    store, source = SlowStore(), HandSource()
    with connected(store, source, OFF) as client:
        source.deliver(environment(flag("f", "a")))
        until(lambda: store.has_data)
        until_value(client, "f", USER, "a")
        store.upsert(changes(flag("elsewhere", "x")))
        assert client.variation("elsewhere", USER, None) == "x"
        assert store.count("f") > 0


def test_an_update_takes_the_place_of_a_remembered_miss() -> None:
    store, source = SlowStore(), HandSource()
    with connected(store, source, FOR_EVER) as client:
        source.deliver(environment(flag("f", "a")))
        until(lambda: store.has_data)
        until_value(client, "f", USER, "a")
        assert client.variation("g", USER, "dflt") == "dflt"
        source.deliver(changes(flag("g", "b")))
        until_value(client, "g", USER, "b")
        assert store.count("f") == 0  # what was written need not be read
        assert store.count("g") == 1


def test_what_the_source_said_is_served_while_the_store_is_down() -> None:
    store, source = SlowStore(), HandSource()
    with connected(store, source, OFF) as client:
        source.deliver(environment(flag("f", "a"), flag("g", "a")))
        until_value(client, "f", USER, "a")
        store.is_down = True
        assert client.variation("g", USER, None) == "a"
        store.lose_everything()
        store.is_down = False
        assert client.variation("g", USER, None) == "a"


def test_a_refused_write_leaves_the_newer_item_in_the_cache() -> None:
    store, source = SlowStore(), HandSource()
    with connected(store, source, FOR_EVER) as client:
        source.deliver(environment(flag("f", "a")))
        until(lambda: store.has_data)
        until_value(client, "f", USER, "a")
        store.upsert(changes(flag("f", "theirs", version=9)))
        source.deliver(changes(flag("f", "ours", version=2)))
        until_value(client, "f", USER, "theirs")


def test_a_store_that_somebody_else_closed_is_down() -> None:
    store = filled(flag("f", "a"))
    with reading(store, OFF) as client:
        assert client.variation("f", USER, None) == "a"
        store.close()
        assert client.variation("f", USER, None) == "a"
        assert not client.status.store.available  # type: ignore[union-attr]


def test_after_its_end_a_client_answers_from_memory_and_complains_of_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = filled(flag("f", "a"))
    client = reading(store, OFF)
    assert client.variation("f", USER, None) == "a"
    client.close()
    assert client.variation("f", USER, None) == "a"
    assert [one.levelname for one in caplog.records] == []


def test_what_the_store_has_not_got_yet_is_answered_from_memory() -> None:
    class LateStore(SlowStore):
        def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
            assert self.gate.wait(10)
            super().replace(changes, record)

    store, source = LateStore(), HandSource()
    store.gate.clear()
    with connected(store, source, OFF) as client:
        source.deliver(environment(flag("f", "a")))
        assert client.variation("f", USER, None) == "a"
        assert store.reads == []
        store.gate.set()
        until(lambda: store.has_data)
        until_value(client, "f", USER, "a")
