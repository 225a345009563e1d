"""What only threads can get wrong: how many there are, who waits for whom, and how they end."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from flagkeep import (
    Client,
    CloseReport,
    Config,
    Context,
    EventSettings,
    FileSource,
    Streaming,
)
from flagkeep.hooks import FlagChange
from flagkeep.stores import SQLiteStore
from flagkeep.testing import FakeUpstream, Scripted
from tests._sync.hand_source import HandSource, environment, flag
from tests._sync.waiting import until

USER = Context.create("user-key")


class Newcomers:
    """The threads that were not there before: other tests may have left some."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def names(self) -> list[str]:
        return sorted(thread.name for thread in threading.enumerate() if thread not in self._before)


def test_a_client_has_two_threads_and_none_after_close(tmp_path: Path) -> None:
    newcomers = Newcomers()
    file = tmp_path / "flags.json"
    file.write_text('{"flagValues": {"f": 1}}')
    store = SQLiteStore(tmp_path / "flags.db")
    with Client(Config(source=FileSource(file)), store=store) as client:
        assert client.wait_until_ready()
        assert newcomers.names() == ["flagkeep-feed", "flagkeep-work"]
    assert newcomers.names() == []


def test_a_reader_has_one_thread(tmp_path: Path) -> None:
    newcomers = Newcomers()
    with Client(Config(daemon=True), store=SQLiteStore(tmp_path / "flags.db")):
        assert newcomers.names() == ["flagkeep-work"]
    assert newcomers.names() == []


def test_an_offline_client_has_no_thread() -> None:
    newcomers = Newcomers()
    with Client(Config(offline=True)):
        assert newcomers.names() == []


def test_a_listener_that_never_returns_holds_up_neither_data_nor_close() -> None:
    source = HandSource()
    client = Client(Config(source=source))
    begun, release = threading.Event(), threading.Event()

    def endless(_: object) -> None:
        begun.set()
        release.wait()

    client.on_change(None, endless)
    source.deliver(environment(flag("f", "a")))
    assert begun.wait(10)
    source.deliver(environment(flag("f", "b", version=2)))
    assert client.variation("f", USER, None) == "b"
    assert client.close().complete
    release.set()


def test_close_from_a_listener_returns(tmp_path: Path) -> None:
    source = HandSource()
    client = Client(Config(source=source), store=SQLiteStore(tmp_path / "flags.db"))
    closed = threading.Event()

    def close(_: object) -> None:
        client.close(timeout=0.5)
        closed.set()

    client.on_change(None, close)
    source.deliver(environment(flag("f")))
    assert closed.wait(10)


def test_many_threads_evaluate_while_data_changes() -> None:
    source = HandSource()
    wrong: list[object] = []
    with Client(Config(source=source)) as client:
        source.deliver(environment(flag("f", 0)))
        done = threading.Event()

        def evaluate() -> None:
            last = 0
            while not done.is_set():
                value = client.variation("f", USER, None)
                if value is None or value < last:
                    wrong.append((last, value))
                last = value

        threads = [threading.Thread(target=evaluate) for _ in range(8)]
        for thread in threads:
            thread.start()
        for version in range(1, 200):
            source.deliver(environment(flag("f", version, version=version)))
        done.set()
        for thread in threads:
            thread.join(10)
        assert client.variation("f", USER, None) == 199
    assert wrong == []


@contextmanager
def no_room_for_threads() -> Iterator[None]:
    """Let no thread begin, as on a machine that is full."""
    usual = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(usual)


def test_a_client_that_lacks_threads_at_first_works_once_there_are_some(
    caplog: pytest.LogCaptureFixture,
) -> None:
    newcomers = Newcomers()
    source = HandSource()
    with no_room_for_threads():
        client = Client(Config(source=source))
        assert [client.variation("f", USER, "default") for _ in range(3)] == ["default"] * 3
    assert caplog.text.count("cannot work in the background yet") == 1
    with client:
        until(lambda: client.variation("f", USER, None) is None and source.sink is not None)
        source.deliver(environment(flag("f", "a")))
        assert client.variation("f", USER, None) == "a"
        assert newcomers.names() == ["flagkeep-feed", "flagkeep-work"]
    assert newcomers.names() == []


def test_whoever_closes_at_the_same_time_gets_the_same_report() -> None:
    with FakeUpstream({"flags": {"f": flag("f", "a")}, "segments": {}}) as upstream:
        upstream.always("/bulk", Scripted(202, delay=0.1))
        events = EventSettings(base_uri=upstream.uri, diagnostics=False)
        source = Streaming(base_uri=upstream.uri)
        client = Client(Config(sdk_key="key", source=source, events=events))
        assert client.wait_until_ready()
        assert client.variation("f", USER, None) == "a"
        with ThreadPoolExecutor(4) as pool:
            reports = list(pool.map(lambda _: client.close(), range(4)))
        assert reports == [CloseReport(complete=True)] * 4
        assert len(upstream.events("summary")) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_ends_its_thread_hears_of_the_next_change() -> None:
    source = HandSource()
    heard: list[str] = []

    def leaves(change: FlagChange) -> None:
        heard.append(change.key)
        sys.exit()

    def no_notices() -> bool:
        return "flagkeep-notices" not in {thread.name for thread in threading.enumerate()}

    with Client(Config(source=source)) as client:
        client.on_change(None, leaves)
        source.deliver(environment(flag("f", "a")))
        until(lambda: heard == ["f"])
        until(no_notices)
        source.deliver(environment(flag("f", "b", version=2)))
        until(lambda: heard == ["f", "f"])
        until(no_notices)
