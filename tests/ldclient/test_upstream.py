"""`LDClient` connected: streaming, polling, events, Big Segments, all over real HTTP."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from flagkeep.ldclient import (
    Config,
    Context,
    LDClient,
    MigratorBuilder,
    Operation,
    Origin,
    Result,
    Stage,
)
from flagkeep.ldclient.config import BigSegmentsConfig, HTTPConfig
from flagkeep.ldclient.hook import EvaluationSeriesContext
from flagkeep.ldclient.interfaces import (
    BigSegmentStore,
    BigSegmentStoreMetadata,
    BigSegmentStoreStatus,
    DataSourceErrorKind,
    DataSourceState,
    EventProcessor,
    FeatureRequester,
)
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS
from flagkeep.testing import BigSegmentData, FakeUpstream, Scripted
from tests.ldclient.sources import USER, DictStore, environment, flag, until
from tests.ldclient.test_hooks import Recorder
from tests.servers.certificates import server_context
from tests.servers.server import free_port

KEY = "sdk-key"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.put({"f": flag("f", "streamed")})
        yield upstream


def to(upstream: FakeUpstream, **settings: Any) -> Config:
    """A configuration that streams, and sends events when it is told to flush."""
    uri = upstream.uri
    given = {"flush_interval": 3600, "diagnostic_opt_out": True} | settings
    return Config(KEY, base_uri=uri, events_uri=uri, stream_uri=uri, **given)


# --- data --------------------------------------------------------------------------------------


def test_a_client_streams(upstream: FakeUpstream) -> None:
    with LDClient(to(upstream, send_events=False)) as client:
        assert client.is_initialized()
        assert client.variation("f", USER, 0) == "streamed"
        assert client.data_source_status_provider.status.state is DataSourceState.VALID
        upstream.patch("flags", flag("f", "patched", 2))
        until(lambda: bool(client.variation("f", USER, 0) == "patched"))
        upstream.delete("flags", "f", 3)
        until(lambda: bool(client.variation("f", USER, 0) == 0))
    (request,) = upstream.requests_to("/all")
    assert request.headers["authorization"] == KEY
    assert request.headers["user-agent"].startswith("PythonClient/")


def test_the_store_in_memory_shows_what_is_streamed(upstream: FakeUpstream) -> None:
    config = to(upstream, send_events=False)
    with LDClient(config) as client:
        assert config.feature_store.get(FEATURES, "f")["variations"] == ["streamed"]
        assert config.feature_store.initialized
        config.feature_store.upsert(FEATURES, flag("g", "written"))
        assert client.variation("g", USER, 0) == "written"


def test_a_client_polls(upstream: FakeUpstream) -> None:
    with LDClient(to(upstream, stream=False, send_events=False)) as client:
        assert client.variation("f", USER, 0) == "streamed"
    (request,) = upstream.requests_to("/sdk/latest-all")
    assert request.headers["authorization"] == KEY
    assert not upstream.requests_to("/all")


def test_who_asks_is_in_the_headers(upstream: FakeUpstream) -> None:
    config = to(
        upstream,
        send_events=False,
        application={"id": "shop", "version": "1"},
        wrapper_name="w",
        wrapper_version="2",
        payload_filter_key="p",
    )
    with LDClient(config):
        pass
    (request,) = upstream.requests_to("/all")
    assert request.headers["x-launchdarkly-tags"] == "application-id/shop application-version/1"
    assert request.headers["x-launchdarkly-wrapper"] == "w/2"
    assert request.query == {"filter": "p"}


def test_fix_two_clients_of_one_configuration_are_two(upstream: FakeUpstream) -> None:
    """FIX (python-api.md 3): official writes the instance id into the configuration."""
    config = to(upstream, send_events=False)
    with LDClient(config) as one, LDClient(config) as other:
        upstream.wait_for_streams(2)
        upstream.patch("flags", flag("f", "both", 2))
        until(lambda: bool(one.variation("f", USER, 0) == "both"))
        until(lambda: bool(other.variation("f", USER, 0) == "both"))
    ids = {one.headers["x-launchdarkly-instance-id"] for one in upstream.requests_to("/all")}
    assert len(ids) == 2
    assert config.data_source_update_sink is None


def test_a_store_is_filled_from_the_stream_and_serves_when_there_is_none(
    upstream: FakeUpstream,
) -> None:
    store = DictStore()
    with LDClient(to(upstream, feature_store=store, send_events=False)):
        until(lambda: store.has_data)
        assert store.data[FEATURES]["f"]["variations"] == ["streamed"]
    upstream.stop_listening()
    with LDClient(to(upstream, feature_store=store, send_events=False), 0.2) as client:
        assert client.is_initialized()
        assert client.variation("f", USER, 0) == "streamed"
        assert client.data_source_status_provider.status.state is DataSourceState.INITIALIZING


def test_a_client_that_reaches_nobody_exists_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with LDClient(Config(KEY, stream_uri=nobody, send_events=False), 0.2) as client:
        assert not client.is_initialized()
        detail = client.variation_detail("f", USER, 7)
        assert (detail.value, detail.reason["errorKind"]) == (7, "CLIENT_NOT_READY")
        status = client.data_source_status_provider.status
        assert status.state is DataSourceState.INITIALIZING
        assert status.error is not None
        assert status.error.kind is DataSourceErrorKind.NETWORK_ERROR
    assert "no flag data within 0.2 s; the client goes on trying" in caplog.text


def test_a_refused_key_is_an_error_with_its_status(upstream: FakeUpstream) -> None:
    upstream.always("/all", Scripted(401))
    with LDClient(to(upstream, send_events=False), 0.2) as client:
        error = client.data_source_status_provider.status.error
    assert error is not None
    assert (error.kind, error.status_code) == (DataSourceErrorKind.ERROR_RESPONSE, 401)


def test_a_proxy_is_used_for_everything(upstream: FakeUpstream) -> None:
    config = Config(
        KEY,
        stream_uri="http://flags.invalid",
        send_events=False,
        http=HTTPConfig(http_proxy=upstream.uri),
    )
    with LDClient(config, 0.5):
        until(lambda: bool(upstream.requests))
    assert upstream.requests[0].headers["host"] == "flags.invalid"


def test_a_listener_of_values_makes_no_events_and_runs_no_hooks(upstream: FakeUpstream) -> None:
    """FIX (data-sources.md 10): official evaluates through `variation`."""
    hook = Recorder("h", [])
    heard: list[Any] = []
    with LDClient(to(upstream, hooks=[hook])) as client:
        listen = client.flag_tracker.add_flag_value_change_listener
        handle = listen(
            "f", USER, lambda change: heard.append((change.old_value, change.new_value))
        )
        upstream.patch("flags", flag("f", "next", 2))
        until(lambda: bool(heard))
        client.flag_tracker.remove_listener(handle)
        client.flush()
    assert heard == [("streamed", "next")]
    assert hook.series == []
    assert upstream.events() == []


def test_hooks_are_told_what_the_environment_is_called(upstream: FakeUpstream) -> None:
    upstream.headers = {"X-LD-EnvID": "env-1"}
    hook = Recorder("h", [])
    with LDClient(to(upstream, send_events=False, hooks=[hook])) as client:
        client.variation("f", USER, 7)
    assert hook.series[0] == EvaluationSeriesContext("f", USER, 7, "variation", "env-1")


def test_fix_a_patch_that_is_older_than_what_is_known_is_no_change(upstream: FakeUpstream) -> None:
    """FIX (data-sources.md 10): official tells of patches that its store ignored."""
    upstream.put({"f": flag("f", "new", 5)})
    heard: list[str] = []
    with LDClient(to(upstream, send_events=False)) as client:
        client.flag_tracker.add_listener(lambda change: heard.append(change.key))
        upstream.patch("flags", flag("f", "old", 4))
        upstream.patch("flags", flag("g", "added"))
        until(lambda: bool(heard))
        assert client.variation("f", USER, 0) == "new"
    assert heard == ["g"]


def test_fix_a_client_certificate_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FIX (data-sources.md 9): the official client for threads ignores `cert_file` silently."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("amal@example.com").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "own.pem"
    )
    http = HTTPConfig(ca_certs=str(tmp_path / "ca.pem"), cert_file=str(tmp_path / "own.pem"))
    tls = server_context(authority, "127.0.0.1", "localhost", wants_certificate=True)
    with FakeUpstream(tls=tls) as upstream:
        upstream.put({"f": flag("f", "encrypted")})
        config = Config(
            KEY,
            stream_uri=upstream.uri,
            events_uri=upstream.uri,
            http=http,
            diagnostic_opt_out=True,
        )
        with LDClient(config) as client:
            assert client.variation("f", USER, 0) == "encrypted"
        assert {request.path for request in upstream.requests} == {"/all", "/bulk"}
        assert all(request.certificate for request in upstream.requests)


# --- a requester of the application -------------------------------------------------------------


class Requester(FeatureRequester):
    """Returns what the test says."""

    data: Any = None

    def __init__(self, config: Config) -> None:
        self.config = config

    def get_all_data(self) -> Any:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data


def test_a_requester_of_the_application_polls() -> None:
    class Good(Requester):
        data = environment(f="asked for") | {SEGMENTS: {}}

    with LDClient(
        Config(KEY, stream=False, feature_requester_class=Good, send_events=False)
    ) as client:
        assert client.variation("f", USER, 0) == "asked for"
        assert client.data_source_status_provider.status.state is DataSourceState.VALID


def test_a_bad_item_of_a_requester_spoils_no_other() -> None:
    class Half(Requester):
        def get_all_data(self) -> Any:
            return {FEATURES: {"f": flag("f", 1), "bad": {"key": "bad", "version": "x"}}}

    with LDClient(
        Config(KEY, stream=False, feature_requester_class=Half, send_events=False)
    ) as client:
        assert client.variation("f", USER, 0) == 1
        assert client.variation("bad", USER, 0) == 0


def test_a_requester_that_fails_is_a_state_of_the_source() -> None:
    class Bad(Requester):
        data = OSError("no service")

    with LDClient(
        Config(KEY, stream=False, feature_requester_class=Bad, send_events=False), 0.1
    ) as client:
        status = client.data_source_status_provider.status
        assert not client.is_initialized()
    assert status.error is not None
    assert "no service" in str(status.error.message)


# --- events ------------------------------------------------------------------------------------


def kinds(upstream: FakeUpstream) -> list[str]:
    return sorted(event["kind"] for event in upstream.events())


def test_events_are_delivered_when_flushed_and_when_closed(upstream: FakeUpstream) -> None:
    with LDClient(to(upstream)) as client:
        client.variation("f", USER, 0)
        client.track("bought", USER, {"x": 1}, 2.5)
        client.flush()
        upstream.wait_for_events("custom")
        assert kinds(upstream) == ["custom", "index", "summary"]
        client.identify(Context.create("other"))
    assert kinds(upstream) == ["custom", "identify", "index", "summary"]
    (custom,) = upstream.events("custom")
    assert (custom["key"], custom["data"], custom["metricValue"]) == ("bought", {"x": 1}, 2.5)
    (summary,) = upstream.events("summary")
    assert summary["features"]["f"]["counters"] == [
        {"value": "streamed", "variation": 0, "version": 1, "count": 1}
    ]


def test_private_attributes_stay_here(upstream: FakeUpstream) -> None:
    user = Context.builder("u").set("email", "e").set("phone", "p").private("phone").build()
    with LDClient(to(upstream, private_attributes={"email"})) as client:
        client.identify(user)
    (event,) = upstream.events("identify")
    assert "email" not in event["context"]
    assert sorted(event["context"]["_meta"]["redactedAttributes"]) == ["email", "phone"]


@pytest.mark.parametrize("context", [Context.create(""), None, "u"])
def test_an_invalid_context_makes_a_warning_and_no_event(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, context: Any
) -> None:
    with caplog.at_level(logging.WARNING), LDClient(to(upstream)) as client:
        client.track("bought", context)
        client.identify(context)
    assert upstream.events() == []
    assert len(caplog.records) == 2


def test_legacy_users_are_good_for_events_too(upstream: FakeUpstream) -> None:
    user: Any = {"key": "legacy"}
    with LDClient(to(upstream)) as client:
        for call in (
            lambda: client.track("bought", user),
            lambda: client.identify(user),
            lambda: client.migration_variation("m", user, Stage.OFF),
            lambda: client.secure_mode_hash(user),
        ):
            with pytest.warns(DeprecationWarning, match="a dict as context") as warned:
                call()
            assert warned[0].filename == __file__
    assert {event["context"]["key"] for event in upstream.events("identify")} == {"legacy"}


def test_a_migration_is_sent(upstream: FakeUpstream) -> None:
    upstream.put({"m": flag("m", "live")})
    with LDClient(to(upstream)) as client:
        builder = MigratorBuilder(client)
        builder.read(lambda _: Result.success(1), lambda _: Result.success(1), lambda a, b: a == b)
        made = builder.write(lambda _: Result.success(1), lambda _: Result.success(1)).build()
        assert not isinstance(made, str)
        made.read("m", USER, Stage.OFF)
    (event,) = upstream.events("migration_op")
    assert (event["operation"], event["evaluation"]["value"]) == ("read", "live")
    measured = {one["key"]: one for one in event["measurements"]}
    assert measured["invoked"]["values"] == {"old": True, "new": True}
    assert measured["consistent"]["value"] is True


@pytest.mark.parametrize("settings", [{"send_events": False}, {"offline": True}])
def test_where_events_are_off_nothing_is_sent(
    upstream: FakeUpstream, settings: dict[str, Any]
) -> None:
    with LDClient(to(upstream, **settings)) as client:
        client.variation("f", USER, 0)
        client.track("bought", USER)
        client.flush()
    assert not upstream.requests_to("/bulk")


def test_statistics_of_the_client_are_sent_unless_told_not_to(upstream: FakeUpstream) -> None:
    with LDClient(to(upstream, diagnostic_opt_out=False)):
        upstream.wait_for_request("/diagnostic")
    assert upstream.diagnostics[0]["kind"] == "diagnostic-init"
    assert upstream.diagnostics[0]["configuration"]["streamingDisabled"] is False


def test_what_is_lost_is_said_once(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.always("/bulk", Scripted(413))
    with LDClient(to(upstream)) as client:
        client.track("bought", USER)
        client.close()
    (line,) = [one.getMessage() for one in caplog.records if one.name == "ldclient.util"]
    assert line.startswith("the client is closed, and events are lost (")


class Processor(EventProcessor):
    """Keeps what it is sent."""

    made: list["Processor"]

    def __init__(self, config: Config) -> None:
        self.config = config
        self.events: list[Any] = []
        self.calls: list[str] = []

    def send_event(self, event: Any) -> None:
        if event.key == "refused":
            raise OSError("no room")
        self.events.append(event)

    def flush(self) -> None:
        self.calls.append("flush")

    def stop(self) -> None:
        self.calls.append("stop")


def test_an_event_processor_of_the_application_gets_the_events(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[Processor] = []

    def make(config: Config) -> Processor:
        made.append(Processor(config))
        return made[-1]

    needs = flag("f", "v", 3) | {"prerequisites": [{"key": "p", "variation": 0}]}
    upstream.put({"f": needs | {"trackEvents": True}, "p": flag("p", "on", 2)})
    with LDClient(to(upstream, event_processor_class=make)) as client:
        assert client.variation("f", USER, 0) == "v"
        client.variation_detail("unknown", USER, 7)
        client.track("bought", USER, {"x": 1}, 2.5)
        client.track("refused", USER)
        stage, tracker = client.migration_variation("m", USER, Stage.OFF)
        client.track_migration_op(tracker)  # incomplete: no event
        client.flush()
    (processor,) = made
    needed, flagged, unknown, custom, migration = processor.events
    assert (needed.key, needed.prereq_of.key, needed.value, needed.default_value) == (
        "p",
        "f",
        "on",
        None,
    )
    assert (flagged.key, flagged.flag.version, flagged.variation) == ("f", 3, 0)
    assert (flagged.value, flagged.default_value, flagged.reason) == ("v", 0, None)
    assert (flagged.track_events, flagged.exclude_from_summaries) == (True, False)
    assert (unknown.flag, unknown.value, unknown.variation) == (None, 7, None)
    assert unknown.reason == {"kind": "ERROR", "errorKind": "FLAG_NOT_FOUND"}
    assert (custom.key, custom.data, custom.metric_value) == ("bought", {"x": 1}, 2.5)
    assert (migration.key, migration.value, stage) == ("m", "off", Stage.OFF)
    assert abs(custom.timestamp / 1000 - time.time()) < 60
    assert processor.calls == ["flush", "stop"]
    assert "the event processor did not take" in caplog.text
    assert not upstream.requests_to("/bulk")


def test_an_event_processor_that_fails_is_logged(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Processor):
        def flush(self) -> None:
            raise OSError

        def stop(self) -> None:
            raise OSError

    with LDClient(to(upstream, event_processor_class=Failing)) as client:
        client.flush()
    assert "the event processor could not flush" in caplog.text
    assert "the event processor could not be stopped" in caplog.text


def test_an_event_processor_gets_migrations_and_experiments(upstream: FakeUpstream) -> None:
    made: list[Processor] = []

    def make(config: Config) -> Processor:
        made.append(Processor(config))
        return made[-1]

    whole = {"variation": 0, "weight": 100_000}
    experiment = {"rollout": {"kind": "experiment", "seed": 5, "variations": [whole]}}
    upstream.put({"f": flag("f", "live") | {"fallthrough": experiment}})
    with LDClient(to(upstream, event_processor_class=make)) as client:
        _, tracker = client.migration_variation("f", USER, Stage.OFF)
        client.track_migration_op(tracker.operation(Operation.READ).invoked(Origin.NEW))
    evaluated, migrated = made[0].events
    assert evaluated.track_events
    assert evaluated.reason == {"kind": "FALLTHROUGH", "inExperiment": True}
    assert (migrated.key, migrated.detail.value, migrated.invoked) == ("f", "live", {Origin.NEW})
    assert repr(evaluated) == "EventInputEvaluation('f')"


def test_an_event_processor_is_not_made_where_events_are_off() -> None:
    def make(config: Config) -> Processor:
        raise AssertionError(config)

    LDClient(Config(KEY, offline=True, event_processor_class=make)).close()
    LDClient(Config(KEY, use_ldd=True, send_events=False, event_processor_class=make)).close()


# --- Big Segments ------------------------------------------------------------------------------


class Memberships(BigSegmentStore):
    """Says what the test says."""

    def __init__(self) -> None:
        self.up_to_date: float | None = time.time() * 1000
        self.members: dict[str, dict[str, bool]] = {}
        self.broken = False
        self.calls: list[str] = []
        self.stopped = 0

    def get_metadata(self) -> BigSegmentStoreMetadata:
        if self.broken:
            raise OSError("no database")
        return BigSegmentStoreMetadata(None if self.up_to_date is None else int(self.up_to_date))

    def get_membership(self, context_hash: str) -> dict[str, bool] | None:
        self.calls.append(context_hash)
        return self.members.get(context_hash)

    def stop(self) -> None:
        self.stopped += 1


IN_SEGMENT = {
    "rules": [
        {
            "clauses": [{"attribute": "", "op": "segmentMatch", "values": ["big"]}],
            "variation": 1,
        }
    ],
    "variations": ["out", "in"],
}
BIG = {"key": "big", "version": 1, "unbounded": True, "generation": 2, "salt": ""}


def test_big_segments_are_looked_up_in_a_store_of_the_application(upstream: FakeUpstream) -> None:
    store = Memberships()
    upstream.put({"f": flag("f", 0) | IN_SEGMENT}, {"big": BIG})
    config = to(upstream, send_events=False, big_segments=BigSegmentsConfig(store))
    with LDClient(config) as client:
        detail = client.variation_detail("f", USER, None)
        assert (detail.value, detail.reason["bigSegmentsStatus"]) == ("out", "HEALTHY")
        provider = client.big_segment_store_status_provider
        assert provider.status == BigSegmentStoreStatus(True, False)
        member = client.variation_detail("f", Context.create("v"), None)
        assert member.value == "out"
        store.members[store.calls[-1]] = {"big.g2": True}
    assert store.stopped == 1
    with LDClient(config) as client:
        assert client.variation("f", Context.create("v"), None) == "in"


def test_a_big_segment_store_is_stopped_with_its_last_client(upstream: FakeUpstream) -> None:
    store = Memberships()
    config = to(upstream, send_events=False, big_segments=BigSegmentsConfig(store))
    one, other = LDClient(config), LDClient(config)
    one.close()
    one.close()
    assert store.stopped == 0
    other.close()
    assert store.stopped == 1


def test_a_big_segment_store_of_flagkeep_may_be_given(upstream: FakeUpstream) -> None:
    members = BigSegmentData().include("big", "u", generation=2)
    upstream.put({"f": flag("f", 0) | IN_SEGMENT}, {"big": BIG})
    settings: Any = BigSegmentsConfig(members.store())  # type: ignore[arg-type]  # an extra
    with LDClient(to(upstream, send_events=False, big_segments=settings)) as client:
        assert client.variation("f", USER, None) == "in"
        assert client.variation("f", Context.create("v"), None) == "out"


def test_listeners_hear_of_a_big_segment_store(upstream: FakeUpstream) -> None:
    store = Memberships()
    heard: list[BigSegmentStoreStatus] = []
    settings = BigSegmentsConfig(store, status_poll_interval=0.05)
    with LDClient(to(upstream, send_events=False, big_segments=settings)) as client:
        provider = client.big_segment_store_status_provider
        assert provider.status == BigSegmentStoreStatus(True, False)
        provider.add_listener(heard.append)
        store.broken = True
        until(lambda: bool(heard))
        provider.remove_listener(heard.append)
        provider.remove_listener(heard.append)
    assert heard[0] == BigSegmentStoreStatus(False, False)


def test_without_such_a_store_there_is_a_status_all_the_same() -> None:
    with LDClient(Config(KEY, offline=True)) as client:
        provider = client.big_segment_store_status_provider
        assert provider.status == BigSegmentStoreStatus(False, False)
        provider.add_listener(print)
        provider.remove_listener(print)


def test_threads_end_with_a_connected_client(upstream: FakeUpstream) -> None:
    before = set(threading.enumerate())
    with LDClient(to(upstream)) as client:
        client.variation("f", USER, 0)
        assert len(set(threading.enumerate()) - before) <= 3
    assert set(threading.enumerate()) <= before
