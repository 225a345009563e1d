"""The cache and the outage code where threads meet: orders of steps that only threads can make."""

import os  # noqa: I001
import sys
import threading
from functools import partial
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagkeep import Client, Config, Context
from flagkeep._sync import store_reader, store_writer
from flagkeep._sync.environment import Environment
from flagkeep.config import CachePolicy, StorePolicy
from flagkeep.errors import StoreUnavailable
from flagkeep.evaluation.catalog import ItemCatalog
from flagkeep.evaluation.inputs import InputMissing
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.contents import StoreContents
from tests._sync.hand_source import HandSource, changes, environment, flag
from tests._sync.slow_store import SlowStore
from tests._sync.waiting import until, until_value

USER = Context.create("user-key")
FOR_EVER = CachePolicy.forever()
OFF = CachePolicy.off()


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_reader, "RETRY_AFTER", 0.02)
    monkeypatch.setattr(store_reader, "HEARTBEAT", 0.1)
    monkeypatch.setattr(store_writer, "RETRY_AFTER", 0.02)


@pytest.fixture
def _eager_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def filled(*flags: dict[str, Any]) -> SlowStore:
    store = SlowStore()
    store.replace(environment(*flags))
    return store


def reading(store: SlowStore, cache: CachePolicy, **policy: Any) -> Client:
    settings = StorePolicy(**{"prefetch": False, **policy})
    return Client(Config(daemon=True, cache=cache, store_policy=settings), store=store)


def beside(fn: Callable[[], object]) -> threading.Thread:
    """Run `fn` in a thread."""
    thread = threading.Thread(target=fn)
    thread.start()
    return thread


class Halt:
    """A step of one thread that goes on when it is told to."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._go_on = threading.Event()
        self.thread: threading.Thread | None = None

    def pass_through(self) -> None:
        """Stop here if this is the thread meant, once."""
        if threading.current_thread() is self.thread and not self.reached.is_set():
            self.reached.set()
            assert self._go_on.wait(10)

    def go_on(self) -> None:
        """Let it go on."""
        self._go_on.set()


class HaltingGuard:
    """A guard before which one thread can be made to stop."""

    def __init__(self, halt: Halt, times_before: int = 0) -> None:
        self._halt = halt
        self._times_before = times_before
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if threading.current_thread() is self._halt.thread:
            self._times_before -= 1
        if self._times_before < 0:
            self._halt.pass_through()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.usefixtures("_eager_switches")
def test_all_flags_are_whole_while_they_expire(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"f{number}" for number in range(200)]
    store = filled(*(flag(name, "a") for name in names))
    whole = dict.fromkeys(names, "a")
    wrong: list[Any] = []
    done = threading.Event()

    def evaluate() -> None:
        while not done.is_set():
            state = client.all_flags(USER)
            if not state.valid or state.to_values() != whole:
                wrong.append((state.valid, len(state.to_values())))

    with reading(store, CachePolicy(0.003)) as client:
        threads = [beside(evaluate) for _ in range(4)]
        done.wait(1.5)
        done.set()
        for thread in threads:
            thread.join(10)
    assert wrong[:5] == []
    assert [one.getMessage() for one in caplog.records] == []


def test_a_single_read_that_ends_after_the_first_whole_one_is_not_kept_for_ever() -> None:
    store = filled(flag("f", "old"))
    with reading(store, OFF, prefetch=True) as client:
        data: Any = client._data
        halt = Halt()
        data._cache._guard = HaltingGuard(halt)
        halt.thread = threading.Thread(target=lambda: client.variation("f", USER, None))
        halt.thread.start()
        assert halt.reached.wait(10)  # it has its answer, and memory is not complete for it
        assert client.wait_until_ready()
        halt.go_on()
        halt.thread.join(10)
        store.upsert(changes(flag("f", "new", version=2)))
        assert client.variation("f", USER, None) == "new"
        store.is_down = True
        assert client.variation("f", USER, None) == "new"


def test_a_single_read_beside_the_end_of_a_whole_one_stays() -> None:
    store = filled(flag("f", "old"))
    with reading(store, FOR_EVER) as client:
        cache: Any = client._data._cache
        halt = Halt()
        cache._guard = HaltingGuard(halt, times_before=1)
        halt.thread = threading.Thread(target=lambda: client.all_flags(USER))
        halt.thread.start()
        assert halt.reached.wait(10)  # memory has everything, the cache has not yet
        store.upsert(changes(flag("f", "new", version=2)))
        assert client.variation("f", USER, None) == "new"
        halt.go_on()
        halt.thread.join(10)
        assert client.variation("f", USER, None) == "new"


def test_a_late_notice_of_the_store_does_not_bring_back_an_older_state() -> None:
    source = HandSource()
    with Client(Config(source=source), store=SlowStore()) as client:
        source.deliver(environment(flag("f", "old")))
        until_value(client, "f", USER, "old")
        data: Any = client._data
        publish, halt = data._publish, Halt()

        def slowly(catalog: Any) -> None:
            halt.pass_through()
            publish(catalog)

        data._publish = slowly
        halt.thread = threading.Thread(target=data._refresh_short_way)  # as the health does
        halt.thread.start()
        assert halt.reached.wait(10)
        delivery = beside(lambda: source.deliver(changes(flag("f", "new", version=2))))
        delivery.join(0.2)
        halt.go_on()
        halt.thread.join(10)
        delivery.join(10)
        assert client.variation("f", USER, None) == "new"


def test_a_failure_noted_as_the_store_comes_back_does_not_end_the_probes() -> None:
    store = filled(flag("f", "a"))
    with reading(store, OFF) as client:
        assert client.variation("f", USER, None) == "a"
        reader: Any = client._data._reader
        store.is_down = True
        client.variation("f", USER, None)
        assert not reader.can_read
        health, halt = reader._health, Halt()
        failed = health.failed

        def slowly(*args: Any, **more: Any) -> Any:
            halt.pass_through()
            return failed(*args, **more)

        health.failed = slowly
        late = StoreUnavailable("memory", "get_many", "no answer")
        halt.thread = threading.Thread(target=lambda: reader._failed(late, "get_many"))
        halt.thread.start()
        assert halt.reached.wait(10)
        store.is_down = False
        until(lambda: reader.can_read)
        threading.Event().wait(0.1)  # the probes have ended
        halt.go_on()
        halt.thread.join(10)
        until(lambda: reader.can_read)


def test_a_change_that_comes_as_a_write_ends_is_written() -> None:
    source, store = HandSource(), SlowStore()
    with Client(Config(source=source), store=store) as client:
        source.deliver(environment(flag("f", "old")))
        until(lambda: store.has_data)
        writer: Any = client._data._writer
        assert writer.idle.wait(10)

        class Waiting(deque[ChangeSet]):
            is_told = False

            def popleft(self) -> ChangeSet:
                if not self.is_told:
                    self.is_told = True
                    full = environment(flag("f", "new", version=3))
                    beside(lambda: source.deliver(full)).join(0.2)
                return super().popleft()

        writer._waiting = Waiting()
        source.deliver(changes(flag("f", "middle", version=2)))
        until(lambda: store.get_all().flags["f"].version == 3)


@pytest.mark.usefixtures("_eager_switches")
@pytest.mark.parametrize("cache", [OFF, CachePolicy(0.005), FOR_EVER])
@pytest.mark.parametrize("prefetch", [False, True])
def test_no_value_goes_back_while_a_store_comes_and_goes(
    caplog: pytest.LogCaptureFixture,
    cache: CachePolicy,
    prefetch: bool,  # noqa: FBT001
) -> None:
    store = filled(flag("f", 1), flag("g", 1))
    wrong: list[Any] = []
    done = threading.Event()

    def evaluate(key: str) -> None:
        last = 0
        while not done.is_set():
            value = client.variation(key, USER, None)
            if not isinstance(value, int) or value < last:
                wrong.append((key, last, value))
                return
            last = value

    with reading(store, cache, prefetch=prefetch) as client:
        for key in "fg":
            assert client.variation(key, USER, None) == 1
        threads = [beside(partial(evaluate, key)) for key in "fgfgf"]
        for version in range(2, 150):
            store.is_down = version % 20 > 15
            store.upsert(changes(*(flag(key, version, version=version) for key in "fg")))
            client._data.store_changed(None)
            done.wait(0.005)
        done.set()
        store.is_down = False
        for thread in threads:
            thread.join(10)
        until(lambda: client._data._reader.can_read)  # type: ignore[union-attr]  # it has a store
        client._data.store_changed(None)
        for key in "fg":
            until_value(client, key, USER, 149)
    assert wrong == []
    assert not [one for one in caplog.records if one.exc_info]


def test_an_item_that_comes_while_it_is_looked_for_is_not_taken_for_absent() -> None:
    catalog = ItemCatalog()
    item = environment(flag("f")).flags["f"]

    class Filling(dict[str, SerializedItem]):
        def get(self, key: str, default: Any = None) -> Any:
            found = super().get(key, default)
            self.setdefault(key, item)  # another thread has put it just now
            return found

    catalog.flag_items = Filling()
    with pytest.raises(InputMissing):
        catalog.flag("f")


def test_of_two_whole_reads_at_once_the_newer_versions_win() -> None:
    store = filled(flag("f", "old"))
    halt = Halt()
    read_all = store.get_all

    def get_all(*, timeout: float | None = None) -> StoreContents:
        found = read_all(timeout=timeout)
        halt.pass_through()
        return found

    store.get_all = get_all  # type: ignore[method-assign]
    with reading(store, FOR_EVER, prefetch=True) as client:
        assert client.wait_until_ready()
        halt.thread = threading.Thread(target=lambda: client._data.store_changed(None))
        halt.thread.start()
        assert halt.reached.wait(10)  # it has read the old state
        store.upsert(changes(flag("f", "new", version=2)))
        client._data.store_changed(None)
        assert client.variation("f", USER, None) == "new"
        halt.go_on()
        halt.thread.join(10)
        assert client.variation("f", USER, None) == "new"


class _Read:
    """A read of a store that is under way; `ref` is None if it is of everything."""

    def __init__(self, ref: ItemRef | None, began: int, seen: dict[str, Any]) -> None:
        self.ref = ref
        self.began = began
        self.seen = seen


@settings(max_examples=1000)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.sampled_from("ab")),
            st.tuples(st.just("read"), st.sampled_from(["a", "b", None])),
            st.tuples(st.just("land"), st.integers(0, 5)),
        ),
        max_size=30,
    )
)
def test_whatever_the_order_of_reads_the_newest_that_was_seen_stays(  # noqa: C901
    steps: list[tuple[str, Any]],
) -> None:
    kept = Environment(lambda _old, _new, _refs: None, fetches=True)
    store = dict(environment(flag("a", 1), flag("b", 1)).flags)
    newest: dict[str, int] = {}
    reads: list[_Read] = []

    def land(read: _Read) -> None:
        for key in read.seen:
            newest[key] = max(newest.get(key, 0), read.seen[key].version)
        if read.ref is None:
            kept.take_all(ChangeSet(full=True, flags=read.seen), read.began)
        else:
            part = {read.ref: read.seen[read.ref.key]}
            kept.take_some(ChangeSet.partial(part), read.began)
        for key, version in newest.items():
            item = kept.data.flags.get(key)
            assert item is not None
            assert item.version == version

    for name, what in steps:
        if name == "write":
            version = store[what].version + 1
            store.update(environment(flag(what, version, version=version)).flags)
        elif name == "read" and what is None:
            reads.append(_Read(None, kept.fills.begin(), dict(store)))
        elif name == "read":
            ref = ItemRef(Kind.FLAG, what)
            reads.append(_Read(ref, kept.fills.begin(), {what: store[what]}))
        elif reads:
            land(reads.pop(what % len(reads)))
    for read in reads:
        land(read)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork with")
def test_a_child_forked_while_items_expire_has_none_that_never_does() -> None:
    store = filled(flag("f", "old"), flag("g", "old"))
    with reading(store, CachePolicy(0.05)) as client:
        cache: Any = client._data._cache
        drop, halt = cache.catalog.drop, Halt()

        class Halting:  # the catalog of the cache, slow to let go of an item
            def __init__(self, catalog: Any) -> None:
                self._catalog = catalog

            def drop(self, ref: ItemRef) -> None:
                halt.thread = threading.current_thread()
                halt.pass_through()
                drop(ref)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._catalog, name)

        cache.catalog = Halting(cache.catalog)
        assert client.variation("f", USER, None) == "old"
        assert halt.reached.wait(10)  # in the middle of the expiry
        process = os.fork()
        if process == 0:
            code = 1
            try:
                store.upsert(changes(flag("f", "new", version=2)))
                until_value(client, "f", USER, "new")
                code = 0
            finally:
                os._exit(code)
        halt.go_on()
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
