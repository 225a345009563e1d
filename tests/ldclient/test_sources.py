"""Sources of data: an application's own, files, test data; and who hears of what they bring."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from flagkeep.config import FileSource
from flagkeep.errors import ConfigError, NotBuiltYet
from flagkeep.ldclient import Context, LDClient
from flagkeep.ldclient.feature_store import InMemoryFeatureStore
from flagkeep.ldclient.integrations import Files
from flagkeep.ldclient.integrations.test_data import FlagBuilder, TestData
from flagkeep.ldclient.interfaces import (
    DataSourceErrorInfo,
    DataSourceErrorKind,
    DataSourceState,
    DataSourceStatus,
    FlagChange,
    FlagValueChange,
)
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS
from tests.ldclient.sources import (
    USER,
    DictStore,
    Making,
    Source,
    environment,
    flag,
    quiet,
    until,
)

# --- an application's own ----------------------------------------------------------------------


def test_what_a_source_writes_is_in_force_at_once() -> None:
    making = Making(with_data=environment(f="first"))
    with LDClient(quiet(update_processor_class=making)) as client:
        (source,) = making.made
        assert source.events == ["start"]
        assert client.is_initialized()
        assert client.variation("f", USER, None) == "first"
        source.store.upsert(FEATURES, flag("f", "second", 2))
        assert client.variation("f", USER, None) == "second"
        source.store.upsert(FEATURES, flag("f", "older", 1))
        assert client.variation("f", USER, None) == "second"
        source.store.delete(FEATURES, "f", 3)
        assert client.variation("f", USER, None) is None
    assert source.events == ["start", "stop"]


def test_what_an_application_writes_to_its_store_is_in_force_too() -> None:
    store = InMemoryFeatureStore()
    making = Making(with_data=environment(f="source"))
    with LDClient(quiet(update_processor_class=making, feature_store=store)) as client:
        store.upsert(FEATURES, flag("f", "application", 2))
        assert client.variation("f", USER, None) == "application"


def test_a_source_that_is_ready_without_data_makes_the_store_count_as_it_is() -> None:
    """Tests of applications do this: a source that does nothing, and a store filled by hand."""
    store = InMemoryFeatureStore()
    store.upsert(FEATURES, flag("f", "by hand"))

    class Idle(Source):
        def start(self) -> None:
            self.has_data = True
            self.ready.set()

    with LDClient(quiet(update_processor_class=Idle, feature_store=store)) as client:
        assert client.is_initialized()
        assert client.variation("f", USER, None) == "by hand"
        store.upsert(FEATURES, flag("g", "more"))
        assert client.variation("g", USER, None) == "more"


def test_a_client_waits_for_its_source_and_goes_on_without_it() -> None:
    making = Making()
    with LDClient(quiet(update_processor_class=making), 0.01) as client:
        (source,) = making.made
        assert not client.is_initialized()
        assert client.variation_detail("f", USER, 7).reason["errorKind"] == "CLIENT_NOT_READY"
        source.store.init(environment(f="late"))
        source.has_data = True
        assert client.is_initialized()
        assert client.variation("f", USER, None) == "late"


def test_a_source_that_gives_up_ends_the_wait() -> None:
    class Failing(Source):
        def start(self) -> None:
            threading.Thread(target=self.ready.set).start()

    with LDClient(quiet(update_processor_class=Failing), 3600) as client:
        assert not client.is_initialized()


def test_a_source_that_never_says_ready_is_asked() -> None:
    making = Making()
    with LDClient(quiet(update_processor_class=making), 0) as client:
        making.made[0].store.upsert(FEATURES, flag("f", "x"))
        making.made[0].has_data = True
        until(lambda: client.variation("f", USER, None) == "x")


def test_a_source_whose_answer_fails_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    class Confused(Source):
        is_confused = True

        def initialized(self) -> bool:
            if self.is_confused:
                raise OSError("what?")
            return True

    with LDClient(quiet(update_processor_class=Confused), 0) as client:
        assert not client.is_initialized()
        assert "could not say whether it is initialized" in caplog.text
        Confused.is_confused = False
        assert client.is_initialized()


def test_a_source_that_cannot_stop_does_not_keep_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Sticky(Source):
        def stop(self) -> None:
            raise OSError("no")

    LDClient(quiet(update_processor_class=Sticky), 0).close()
    assert "could not be stopped" in caplog.text


def test_what_making_a_source_raises_reaches_the_caller_and_leaves_no_threads() -> None:
    def fail(*_: Any) -> Any:
        raise OSError("no source")

    before = set(threading.enumerate())
    with pytest.raises(OSError, match="no source"):
        LDClient(quiet(update_processor_class=fail))
    assert set(threading.enumerate()) <= before


def test_no_source_at_all_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match="update_processor_class returned None"):
        LDClient(quiet(update_processor_class=lambda *_: None))


def test_a_source_may_use_the_sink_and_say_how_it_is_doing() -> None:
    making = Making()
    config = quiet(update_processor_class=making)
    with LDClient(config, 0) as client:
        sink = making.made[0].config.data_source_update_sink
        assert sink is not None
        assert config.data_source_update_sink is None  # it may serve other clients
        provider = client.data_source_status_provider
        assert provider.status.state.value == "initializing"
        sink.init(environment(f=1))
        assert provider.status.state.value == "valid"
        assert client.variation("f", USER, None) == 1
        sink.upsert(FEATURES, flag("f", 2, 2))
        assert client.variation("f", USER, None) == 2
        error = DataSourceErrorInfo(DataSourceErrorKind.ERROR_RESPONSE, 503, 1.5, "busy")
        sink.update_status(DataSourceState.INTERRUPTED, error)
        status = provider.status
        assert status.state is DataSourceState.INTERRUPTED
        assert status.error is not None
        assert (status.error.kind, status.error.status_code, status.error.time) == (
            DataSourceErrorKind.ERROR_RESPONSE,
            503,
            1.5,
        )
        assert status.error.message == "busy"
        sink.update_status(DataSourceState.VALID, None)
        assert provider.status.state.value == "valid"
        assert provider.status.error is not None  # the last one, as the interface says
        sink.delete(FEATURES, "f", 3)
        assert client.variation("f", USER, None) is None
    assert provider.status.state is DataSourceState.OFF


@pytest.mark.parametrize("bad", [{"key": "f"}, 3])
def test_an_item_that_cannot_be_used_is_refused_and_shows_in_the_status(bad: Any) -> None:
    making = Making(with_data=environment(f=1))
    with LDClient(quiet(update_processor_class=making)) as client:
        sink = making.made[0].config.data_source_update_sink
        assert sink is not None
        with pytest.raises(ValueError):  # noqa: PT011  the official SDK promises no more
            sink.upsert(FEATURES, bad)
        with pytest.raises(ValueError):  # noqa: PT011
            sink.init({FEATURES: {"f": bad}})
        status = client.data_source_status_provider.status
        assert status.state is DataSourceState.INTERRUPTED
        assert status.error is not None
        assert status.error.kind is DataSourceErrorKind.INVALID_DATA
        assert client.variation("f", USER, None) == 1


def test_listeners_hear_of_the_status_until_they_are_removed() -> None:
    making = Making(with_data=environment(f=1))
    heard: list[DataSourceState] = []

    def listen(status: DataSourceStatus) -> None:
        heard.append(status.state)

    with LDClient(quiet(update_processor_class=making)) as client:
        sink = making.made[0].config.data_source_update_sink
        assert sink is not None
        provider = client.data_source_status_provider
        provider.add_listener(listen)
        sink.update_status(DataSourceState.INTERRUPTED, None)
        until(lambda: heard == [DataSourceState.INTERRUPTED])
        provider.remove_listener(listen)
        provider.remove_listener(listen)
        sink.update_status(DataSourceState.VALID, None)
    assert heard == [DataSourceState.INTERRUPTED]


# --- changes of flags --------------------------------------------------------------------------


def test_listeners_hear_of_changed_flags_and_of_those_that_depend_on_them() -> None:
    making = Making(with_data=environment(f=1, g=2))
    heard: list[str] = []

    def listen(change: FlagChange) -> None:
        heard.append(change.key)

    with LDClient(quiet(update_processor_class=making)) as client:
        store = making.made[0].store
        needs = flag("needs", 1) | {"prerequisites": [{"key": "f", "variation": 0}]}
        store.upsert(FEATURES, needs)
        client.flag_tracker.add_listener(listen)
        store.upsert(FEATURES, flag("f", 1, 2))
        until(lambda: sorted(heard) == ["f", "needs"])
        client.flag_tracker.remove_listener(listen)
        client.flag_tracker.remove_listener(listen)
        store.upsert(FEATURES, flag("g", 1, 2))
    assert sorted(heard) == ["f", "needs"]


def test_listeners_hear_of_changed_values_only() -> None:
    making = Making(with_data=environment(f="old"))
    heard: list[tuple[str, Any, Any]] = []

    def listen(change: FlagValueChange) -> None:
        heard.append((change.key, change.old_value, change.new_value))

    with LDClient(quiet(update_processor_class=making)) as client:
        store = making.made[0].store
        handle = client.flag_tracker.add_flag_value_change_listener("f", USER, listen)
        store.upsert(FEATURES, flag("f", "old", 2))
        store.upsert(FEATURES, flag("f", "new", 3))
        until(lambda: heard == [("f", "old", "new")])
        handle(FlagChange("f"))  # it may be called, and does nothing
        client.flag_tracker.remove_listener(handle)
        store.upsert(FEATURES, flag("f", "newer", 4))
    assert heard == [("f", "old", "new")]


def test_a_user_as_a_dict_can_be_watched() -> None:
    making = Making(with_data=environment(f="old"))
    heard: list[Any] = []
    user: Any = {"key": "u"}
    with LDClient(quiet(update_processor_class=making)) as client:
        with pytest.warns(DeprecationWarning, match="a dict as context"):
            client.flag_tracker.add_flag_value_change_listener(
                "f", user, lambda change: heard.append(change.new_value)
            )
        making.made[0].store.upsert(FEATURES, flag("f", "new", 2))
        until(lambda: heard == ["new"])


# --- test data ---------------------------------------------------------------------------------


def test_test_data_takes_the_official_names_of_parameters() -> None:
    data = TestData.data_source()
    builder = data.flag(key="f").variations("a", "b", "c")
    builder.variation_for_user(user_key="u", variation=1)
    builder.variation_for_key(context_kind="org", context_key="o", variation=2)
    builder.if_match_context("org", "name", "x").and_not_match_context(
        context_kind="user", attribute="beta"
    ).then_return(variation=1)
    data.update(flag_builder=builder)
    with LDClient(quiet(update_processor_class=data)) as client:
        assert client.variation("f", USER, None) == "b"
        assert client.variation("f", Context.create("o", "org"), None) == "c"


def test_a_flag_begins_with_what_was_given_last_and_shares_nothing_with_it() -> None:
    data = TestData.data_source()
    data.update(data.flag("f").variations("a", "b").fallthrough_variation(1))
    again = data.flag("f")
    assert isinstance(again, FlagBuilder)
    again.if_match("name", "x").then_return(0)
    again.if_not_match("name", "x").and_match("email", "y").then_return(0)
    again.if_not_match_context("org", "name", "x").and_not_match("email", "y").then_return(0)
    assert data.flag("f").build(1)["rules"] == []
    assert len(again.copy().build(1)["rules"]) == 3
    data.use_preconfigured_flag(flag("f", "whole"))
    assert data.flag("f").build(1)["variations"] == [True, False]


# --- files -------------------------------------------------------------------------------------


def write(path: Path, **values: Any) -> Path:
    path.write_text(json.dumps({"flagValues": values}), encoding="utf-8")
    return path


def test_flags_come_from_files(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1.json", f=1), write(tmp_path / "2.json", g=2)
    for paths in ([str(first), str(second)], (first, second)):
        source = Files.new_data_source(paths=paths)
        with LDClient(quiet(update_processor_class=source)) as client:
            assert (client.variation("f", USER, 0), client.variation("g", USER, 0)) == (1, 2)
            assert client.data_source_status_provider.status.state is DataSourceState.VALID


def test_one_path_needs_no_list(tmp_path: Path) -> None:
    source = Files.new_data_source(str(write(tmp_path / "1.json", f=1)))
    assert isinstance(source, FileSource)
    assert source.reload is False


def test_changes_of_files_are_followed_if_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "1.json", f=1)
    source = Files.new_data_source([path], auto_update=True, poll_interval=0.02, force_polling=True)
    heard = threading.Event()
    with LDClient(quiet(update_processor_class=source)) as client:
        client.flag_tracker.add_listener(lambda _: heard.set())
        write(path, f="changed")
        until(lambda: client.variation("f", USER, 0) == "changed")
        assert heard.wait(10)


def test_a_file_that_is_missing_leaves_the_client_without_data(tmp_path: Path) -> None:
    source = Files.new_data_source([tmp_path / "none.json"])
    with LDClient(quiet(update_processor_class=source), 3600) as client:
        assert not client.is_initialized()
        status = client.data_source_status_provider.status
        assert status.state is DataSourceState.INITIALIZING
        assert status.error is not None
        assert "none.json" in (status.error.message or "")


def test_files_need_a_path_and_a_time(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one path"):
        Files.new_data_source([])
    with pytest.raises(ConfigError, match="poll_interval"):
        Files.new_data_source([tmp_path], poll_interval=0)


# --- our sources in the hands of an application ------------------------------------------------


@pytest.fixture
def file_source(tmp_path: Path) -> Any:
    return Files.new_data_source(write(tmp_path / "1.json", f=1))


@pytest.fixture
def data_source() -> Any:
    data = TestData.data_source()
    return data.update(data.flag("f").value_for_all(1))


@pytest.mark.parametrize("kind", ["file_source", "data_source"])
def test_a_source_of_ours_can_be_called_like_a_class(
    kind: str, request: pytest.FixtureRequest
) -> None:
    source = request.getfixturevalue(kind)
    store, ready = DictStore(), threading.Event()
    processor = source(quiet(), store, ready)
    assert not processor.initialized()
    processor.start()
    assert ready.wait(10)
    assert (processor.initialized(), processor.is_alive()) == (True, True)
    assert store.data[FEATURES]["f"]["variations"] == [1]
    processor.stop()
    until(lambda: not processor.is_alive())


def test_a_source_of_ours_can_be_wrapped(data_source: Any) -> None:
    made: list[Any] = []

    def wrap(config: Any, store: Any, ready: threading.Event) -> Any:
        made.append(data_source(config, store, ready))
        return made[-1]

    with LDClient(quiet(update_processor_class=wrap)) as client:
        assert client.variation("f", USER, 0) == 1
        data_source.update(data_source.flag("f").value_for_all(2))
        until(lambda: client.variation("f", USER, 0) == 2)
        data_source.delete("f")
        until(lambda: client.variation("f", USER, 0) == 0)
    until(lambda: not made[0].is_alive())


def test_a_wrapped_source_passes_its_failures_on(tmp_path: Path) -> None:
    source = Files.new_data_source([tmp_path / "none.json"])

    def wrap(config: Any, store: Any, ready: threading.Event) -> Any:
        return source(config, store, ready)

    with LDClient(quiet(update_processor_class=wrap), 3600) as client:
        error = client.data_source_status_provider.status.error
        assert error is not None
        assert error.kind is DataSourceErrorKind.INVALID_DATA


def test_a_store_that_fails_does_not_leave_the_application_waiting(
    data_source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store, ready = DictStore(), threading.Event()
    store.broken = OSError("no database")
    processor = data_source(quiet(), store, ready)
    processor.start()
    assert ready.wait(10)
    assert not processor.initialized()
    assert "a data source ended with an error" in caplog.text


# --- not built yet -----------------------------------------------------------------------------


def test_a_source_of_a_later_release_is_refused_by_name() -> None:
    with pytest.raises(NotBuiltYet, match=r"Files\.new_data_source_v2"):
        Files.new_data_source_v2(["x"])


def test_segments_of_a_source_count() -> None:
    clause = {"attribute": "", "op": "segmentMatch", "values": ["s"]}
    rule = {"id": "r", "variation": 1, "clauses": [clause]}
    uses = flag("f", "out") | {"variations": ["out", "in"], "rules": [rule]}
    segment = {"key": "s", "version": 1, "included": ["u"], "salt": ""}
    making = Making(with_data={FEATURES: {"f": uses}, SEGMENTS: {"s": segment}})
    with LDClient(quiet(update_processor_class=making)) as client:
        assert client.variation("f", USER, None) == "in"
        making.made[0].store.delete(SEGMENTS, "s", 2)
        assert client.variation("f", USER, None) == "out"
