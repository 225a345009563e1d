"""`LDClient`: evaluations, what a configuration makes of it, and what this release refuses."""

import gc
import json
import logging
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flagkeep
from flagkeep import ldclient
from flagkeep.errors import ConfigError, NotBuiltYet
from flagkeep.ldclient import Config, Context, LDClient, Stage
from flagkeep.ldclient.integrations.test_data import TestData
from flagkeep.ldclient.interfaces import DataSourceState
from flagkeep.ldclient.migrations.tracker import OpTracker
from flagkeep.ldclient.versioned_data_kind import FEATURES
from flagkeep.stores import SQLiteStore
from tests.ldclient.sources import USER, environment, flag, keyless, quiet

NOT_FOUND = {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}
NOT_READY = {"kind": "ERROR", "errorKind": "CLIENT_NOT_READY"}
NO_USER = {"kind": "ERROR", "errorKind": "USER_NOT_SPECIFIED"}


@pytest.fixture
def data() -> TestData:
    return TestData.data_source()


# --- evaluation --------------------------------------------------------------------------------


def test_an_evaluation_says_value_index_and_reason(data: TestData) -> None:
    data.update(data.flag("f").variations("a", "b").variation_for_user("u", 1))
    with LDClient(quiet(update_processor_class=data)) as client:
        assert client.variation("f", USER, "default") == "b"
        detail = client.variation_detail("f", USER, "default")
        assert (detail.value, detail.variation_index) == ("b", 1)
        assert detail.reason == {"kind": "TARGET_MATCH"}
        unknown = client.variation_detail("g", USER, "default")
        assert (unknown.value, unknown.variation_index) == ("default", None)
        assert unknown.reason == NOT_FOUND


def test_contexts_of_the_core_are_as_good(data: TestData) -> None:
    data.update(data.flag("f").variation_for_user("u", False))
    with LDClient(quiet(update_processor_class=data)) as client:
        assert client.variation("f", flagkeep.Context.create("u"), None) is False
    with flagkeep.Client(flagkeep.Config(source=data)) as native:
        assert native.wait_until_ready()
        assert native.variation("f", USER, None) is False


@pytest.mark.parametrize("context", [None, 3, "u", object(), Context.create("")])
def test_what_is_no_context_gives_the_default(data: TestData, context: Any) -> None:
    data.update(data.flag("f"))
    with LDClient(quiet(update_processor_class=data)) as client:
        assert client.variation("f", context, 7) == 7
        assert client.variation_detail("f", context, 7).reason == NO_USER
        assert client.all_flags_state(context).valid is False
        assert client.secure_mode_hash(context) == ""


@pytest.mark.parametrize("key", [None, 3, [], {}, "", "\ud800"])
def test_what_is_no_flag_key_gives_the_default(data: TestData, key: Any) -> None:
    with LDClient(quiet(update_processor_class=data)) as client:
        assert client.variation(key, USER, 7) == 7
        assert client.variation_detail(key, USER, 7).reason == NOT_FOUND


@pytest.mark.parametrize(
    "user", [{"key": "u"}, {"key": "u", "custom": {"x": 1}}, {"kind": "user", "key": "u"}]
)
def test_a_dict_is_a_context_with_a_deprecation_warning(data: TestData, user: Any) -> None:
    data.update(data.flag("f").variation_for_user("u", False))
    with LDClient(quiet(update_processor_class=data)) as client:
        calls: list[Callable[[], Any]] = [
            lambda: client.variation("f", user, None),
            lambda: client.variation_detail("f", user, None).value,
            lambda: client.all_flags_state(user).get_flag_value("f"),
        ]
        for call in calls:
            with pytest.warns(DeprecationWarning, match="a dict as context") as warned:
                assert call() is False
            assert warned[0].filename == __file__


def test_defaults_of_the_configuration_outrank_the_callers(data: TestData) -> None:
    with LDClient(quiet(update_processor_class=data, defaults={"f": "ours"})) as client:
        assert client.variation("f", USER, "theirs") == "ours"
        assert client.variation("g", USER, "theirs") == "theirs"


def test_all_flags_take_the_official_options(data: TestData) -> None:
    data.use_preconfigured_flag(flag("shown", 1) | {"clientSide": True})
    data.use_preconfigured_flag(flag("tracked", 2) | {"trackEvents": True})
    with LDClient(quiet(update_processor_class=data)) as client:
        assert client.all_flags_state(USER).to_values_map() == {"shown": 1, "tracked": 2}
        state = client.all_flags_state(
            USER, with_reasons=True, details_only_for_tracked_flags=True, unknown_option=3
        )
        assert json.loads(state.to_json_string()) == {
            "shown": 1,
            "tracked": 2,
            "$flagsState": {
                "shown": {"variation": 0},
                "tracked": {
                    "variation": 0,
                    "version": 1,
                    "reason": {"kind": "FALLTHROUGH"},
                    "trackEvents": True,
                },
            },
            "$valid": True,
        }
        assert (state.get_flag_value("tracked"), state.get_flag_value("none")) == (2, None)
        assert state.get_flag_reason("tracked") == {"kind": "FALLTHROUGH"}
        only = client.all_flags_state(USER, client_side_only=True)
        assert only.to_values_map() == {"shown": 1}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (
            Context.create("user-key"),
            "12a38d8e0c8d5172b1c49ed0fcc487b09ca5cdd4409fd0c6b1b453c9fdca9020",
        ),
        (
            Context.create_multi(Context.create("u"), Context.create("o:1", "org")),
            "a9cdd7594a353ecc07a131f8c2f9a9998b216612dc11c921927397a77ad1db0c",
        ),
    ],
)
def test_the_secure_mode_hash_is_the_one_of_the_data_model_spec(
    context: Context, expected: str
) -> None:
    assert LDClient(Config("sdk-key", offline=True)).secure_mode_hash(context) == expected


def test_a_hash_of_a_lone_surrogate_does_not_raise() -> None:
    context = Context.create("\ud800")
    assert len(LDClient(Config("k", offline=True)).secure_mode_hash(context)) == 64


# --- what a configuration makes of it ----------------------------------------------------------


def test_an_offline_client_answers_defaults_and_starts_nothing() -> None:
    before = set(threading.enumerate())
    with LDClient(Config("k", offline=True, update_processor_class=print)) as client:
        assert set(threading.enumerate()) <= before
        assert client.variation_detail("f", USER, 7).reason == NOT_READY
        assert client.all_flags_state(USER).valid is False
        assert (client.is_offline(), client.is_initialized()) == (True, True)
        assert client.data_source_status_provider.status.state is DataSourceState.VALID


def test_in_daemon_mode_the_store_in_memory_is_what_there_is() -> None:
    config = quiet(use_ldd=True)
    with LDClient(config) as client:
        assert client.is_initialized()
        assert client.variation_detail("f", USER, 7).reason == NOT_FOUND
        config.feature_store.upsert(FEATURES, flag("f", "written"))
        assert client.variation("f", USER, 7) == "written"
        config.feature_store.init(environment(f="replaced"))
        assert client.variation("f", USER, 7) == "replaced"
        config.feature_store.delete(FEATURES, "f", 5)
        assert client.variation_detail("f", USER, 7).reason == NOT_FOUND


def test_without_a_source_the_client_serves_what_its_store_holds() -> None:
    config = keyless()
    config.feature_store.init(environment(f="held"))
    with LDClient(config) as client:
        assert client.is_initialized()
        assert client.variation("f", USER, 7) == "held"
        assert client.data_source_status_provider.status.state is DataSourceState.INITIALIZING


def test_without_a_source_and_data_it_is_not_initialized_and_does_not_wait() -> None:
    config = keyless()
    with LDClient(config, 3600) as client:
        assert not client.is_initialized()
        assert client.variation_detail("f", USER, 7).reason == NOT_READY
        config.feature_store.upsert(FEATURES, flag("f", "one item is no environment"))
        assert client.variation_detail("f", USER, 7).reason == NOT_READY
        config.feature_store.init(environment(f="now"))
        assert client.is_initialized()
        assert client.variation("f", USER, 7) == "now"


def test_one_configuration_serves_two_clients(data: TestData) -> None:
    data.update(data.flag("f").value_for_all(1))
    config = quiet(update_processor_class=data)
    with LDClient(config) as one, LDClient(config) as other:
        data.update(data.flag("f").value_for_all(2))
        assert (one.variation("f", USER, 0), other.variation("f", USER, 0)) == (2, 2)
    with LDClient(config) as third:
        assert third.variation("f", USER, 0) == 2


def test_the_store_of_the_configuration_shows_what_the_source_delivers(data: TestData) -> None:
    data.update(data.flag("f").value_for_all(1))
    config = quiet(update_processor_class=data)
    with LDClient(config):
        assert config.feature_store.get(FEATURES, "f")["variations"] == [1]
        data.update(data.flag("f").value_for_all(2))
        assert config.feature_store.get(FEATURES, "f")["version"] == 2


def test_a_closed_client_answers_from_memory_and_closes_again(data: TestData) -> None:
    data.update(data.flag("f").value_for_all(1))
    client = LDClient(quiet(update_processor_class=data))
    client.close()
    client.close()
    data.update(data.flag("f").value_for_all(2))
    assert client.variation("f", USER, 0) == 1


def test_threads_end_with_their_client(data: TestData) -> None:
    before = set(threading.enumerate())
    with LDClient(quiet(update_processor_class=data)):
        assert len(set(threading.enumerate()) - before) == 2
    assert set(threading.enumerate()) <= before


def test_a_client_that_is_gone_leaves_nothing_in_the_store(data: TestData) -> None:
    config = quiet(update_processor_class=data)
    LDClient(config).close()
    gc.collect()
    assert config.feature_store._watchers == ()


def test_the_sdk_key_can_be_read() -> None:
    assert LDClient(Config("k", offline=True)).get_sdk_key() == "k"


@pytest.mark.parametrize(
    "config", ["sdk-key", None, {"sdk_key": "k"}, flagkeep.Config(offline=True)]
)
def test_a_client_takes_a_config(config: Any) -> None:
    with pytest.raises(ConfigError, match="LDClient takes a Config, such as"):
        LDClient(config)


def test_start_wait_is_a_number() -> None:
    with pytest.raises(ConfigError, match="start_wait must be a number of seconds, not None"):
        LDClient(Config("k", offline=True), None)  # type: ignore[arg-type]  # the test


# --- fork --------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_anew(data: TestData) -> None:
    data.update(data.flag("f").value_for_all(1))
    config = quiet(update_processor_class=data)
    client = LDClient(config)
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            client.postfork()
            data.update(data.flag("f").value_for_all(2))
            failed = int(client.variation("f", USER, 0) != 2)
            client.close()
        finally:
            os._exit(failed)
    assert os.waitpid(child, 0)[1] == 0
    assert client.variation("f", USER, 0) == 1
    client.close()


def test_after_postfork_the_client_works_as_before(data: TestData) -> None:
    data.update(data.flag("f").value_for_all(1))
    with LDClient(quiet(update_processor_class=data)) as client:
        first = client._assembly.client
        client.postfork()
        first.close()
        data.update(data.flag("f").value_for_all(2))
        assert client.variation("f", USER, 0) == 2


# --- what is said, and what is refused ----------------------------------------------------------


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_missing_sdk_key_is_said_only_where_it_is_needed(
    caplog: pytest.LogCaptureFixture, data: TestData
) -> None:
    LDClient(Config("")).close()
    (warning,) = warnings_of(caplog)
    assert warning == (
        "Missing or blank SDK key: LaunchDarkly is not asked; the client serves what its feature"
        " store holds, and no events are sent"
    )
    caplog.clear()
    keyless: list[dict[str, Any]] = [
        {"offline": True},
        {"use_ldd": True},
        {"update_processor_class": data},
    ]
    for without_key in keyless:
        LDClient(Config("", **without_key)).close()
    assert not warnings_of(caplog)


def test_the_one_warning_stays_one_with_a_store(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    LDClient(Config("", feature_store=SQLiteStore(tmp_path / "flags.db")), start_wait=0).close()
    (warning,) = warnings_of(caplog)
    assert "the client serves what its feature store holds" in warning


METHODS: list[tuple[str, Callable[[LDClient], Any]]] = [
    ("track", lambda client: client.track("event", USER, {"x": 1}, 2.5)),
    ("identify", lambda client: client.identify(USER)),
    ("flush", lambda client: client.flush()),
    ("track_migration_op", lambda client: client.track_migration_op(tracker(client))),
]


def tracker(client: LDClient) -> OpTracker:
    return client.migration_variation("m", USER, Stage.OFF)[1]


@pytest.mark.parametrize(("method", "call"), METHODS)
@pytest.mark.parametrize("settings", [{"send_events": False, "use_ldd": True}, {"offline": True}])
def test_methods_for_events_do_nothing_where_events_are_turned_off(
    method: str, call: Callable[[LDClient], Any], settings: dict[str, Any]
) -> None:
    del method
    with LDClient(Config("k", **settings)) as client:
        assert call(client) is None


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("ldclient.datasystem", "custom"),
        ("ldclient.interfaces", "ChangeSetBuilder"),
        ("ldclient.integrations.test_datav2", "TestDataV2"),
    ],
)
def test_names_of_later_releases_are_refused_by_name(module: str, name: str) -> None:
    found = __import__(f"flagkeep.{module}", fromlist=["x"])
    with pytest.raises(NotBuiltYet, match=rf"{module}\.{name} is not part of this release"):
        getattr(found, name)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = found.Nonsense


def test_the_status_of_big_segments_is_that_there_are_none() -> None:
    with LDClient(Config("k", offline=True)) as client:
        provider = client.big_segment_store_status_provider
        assert (provider.status.available, provider.status.stale) == (False, False)
        provider.add_listener(print)
        provider.remove_listener(print)


# --- the shared client -------------------------------------------------------------------------


@pytest.fixture
def shared() -> Any:
    """The module, as after import."""
    yield ldclient
    ldclient._reset_client()
    ldclient._singleton._config = None
    ldclient.start_wait = 5


def test_there_is_one_client_for_all(shared: Any) -> None:
    with pytest.raises(Exception, match="set_config was not called"):
        shared.get()
    shared.set_config(Config("k", offline=True))
    assert shared.get() is shared.get()


def test_many_threads_get_the_same_client(shared: Any, data: TestData) -> None:
    shared.set_config(quiet(update_processor_class=data))
    got: list[LDClient] = []
    threads = [threading.Thread(target=lambda: got.append(shared.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, got))) == 1


def test_another_configuration_replaces_the_client(shared: Any, data: TestData) -> None:
    shared.set_config(quiet(update_processor_class=data))
    first = shared.get()
    shared.set_config(Config("other", offline=True))
    assert shared.get() is not first
    assert shared.get().get_sdk_key() == "other"
    assert first._assembly.client._report is not None  # closed


def test_a_reset_client_is_made_again(shared: Any) -> None:
    shared.set_config(Config("k", offline=True))
    first = shared.get()
    shared._reset_client()
    assert shared.get() is not first


def test_only_a_config_can_be_set(shared: Any) -> None:
    with pytest.raises(ConfigError, match="set_config takes a Config, not str"):
        shared.set_config("sdk-key")


def test_start_wait_may_be_assigned(shared: Any) -> None:
    shared.start_wait = "soon"
    shared.set_config(Config("k", offline=True))
    with pytest.raises(ConfigError, match="start_wait must be a number"):
        shared.get()


def test_nothing_here_warns_by_itself() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LDClient(Config("k", offline=True)).close()
