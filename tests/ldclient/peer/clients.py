"""Clients from first to last: every kind of source and store, listeners, odd arguments."""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.
# ruff: noqa: B023  what uses a variable of a loop is called at once

import json
import threading
from typing import Any, ClassVar

import ldclient
from ldclient import Config, Context, LDClient
from ldclient.evaluation import EvaluationDetail, FeatureFlagsState
from ldclient.integrations.test_data import TestData
from ldclient.interfaces import DataSourceState, FeatureStore, UpdateProcessor
from ldclient.versioned_data_kind import FEATURES, SEGMENTS
from recording import detail, finish, record

user = Context.create("u")
invalid = Context.create("")


def flag(key: str, value: Any, version: int = 1) -> dict[str, Any]:
    plain = {"key": key, "version": version, "on": True, "variations": [value, "other"]}
    return {**plain, "fallthrough": {"variation": 0}, "salt": ""}


def quiet(**settings: Any) -> Config:
    return Config("sdk-key", send_events=False, **settings)


def answers(client: LDClient) -> Any:
    return [
        detail(client.variation_detail("f", user, 7)),
        detail(client.variation_detail("unknown", user, {"x": 1})),
        detail(client.variation_detail("f", invalid, 7)),
        client.variation("f", user, 7),
        json.loads(client.all_flags_state(user, with_reasons=True).to_json_string()),
        client.all_flags_state(invalid).to_json_dict(),
        [client.is_initialized(), client.is_offline(), client.get_sdk_key()],
    ]


def source_state(client: LDClient) -> str:
    return client.data_source_status_provider.status.state.value


# --- test data ---------------------------------------------------------------------------------

data = TestData.data_source()
data.update(data.flag("f").variations("a", "b", "c").variation_for_user("u", 2))
with LDClient(quiet(update_processor_class=data)) as client:
    record("test data", lambda: answers(client))
    other = LDClient(quiet(update_processor_class=data))
    data.update(data.flag("f").variation_for_user("u", 1))
    record("test data, updated", lambda: [answers(client), answers(other)])
    other.close()
    data.update(
        data.flag("f").if_match("name", "x", "y").and_not_match("email", "e").then_return(0)
    )
    for name, email in [("x", "d"), ("y", "e"), ("z", "d")]:
        context = Context.builder("v").name(name).set("email", email).build()
        record(f"rule {name} {email}", lambda: detail(client.variation_detail("f", context, 7)))
    data.update(data.flag("f").clear_targets().clear_rules().variation_for_key("org", "o", 1))
    for context in [Context.create("o", "org"), Context.create("o")]:
        record(f"target {context}", lambda: detail(client.variation_detail("f", context, 7)))
    data.update(data.flag("f").value_for_all({"any": ["value"]}))
    record("value for all", lambda: answers(client))
    data.update(data.flag("f").boolean_flag().on(False))
    record("boolean and off", lambda: answers(client))
    data.update(data.flag("f").variation_for_all(True))
    record("true for all", lambda: answers(client))
    store_status = client.data_store_status_provider
    record("store available", lambda: [store_status.status.available, store_status.status.stale])
    record("store monitored", store_status.is_monitoring_enabled)
    big = client.big_segment_store_status_provider.status
    record("big segments", lambda: [big.available, big.stale])
    record("same tracker", lambda: client.flag_tracker is client.flag_tracker)
    record("hash", lambda: client.secure_mode_hash(Context.create("user-key")))
    both = Context.create_multi(Context.create("o:1", "org"), user)
    record("hash of several", lambda: client.secure_mode_hash(both))
    record("hash of invalid", lambda: client.secure_mode_hash(invalid))
    for key in [None, 3, "", []]:
        record(f"flag key {key!r}", lambda: client.variation(key, user, 7))
    for what in [None, "u", 3, {"key": "u"}]:
        record(f"context {what!r}", lambda: detail(client.variation_detail("f", what, 7)))
        record(f"all for {what!r}", lambda: client.all_flags_state(what).valid)
    record("unknown option", lambda: client.all_flags_state(user, zork=3).valid)
    record("flush", client.flush)
    record("identify", lambda: client.identify(user))
    record("track", lambda: client.track("e", user, {"x": 1}, 2.5))
    record("not a hook", lambda: client.add_hook(3))  # type: ignore[arg-type]
record("after close", lambda: answers(client))
record("closed twice", client.close)

# --- other ways to run -------------------------------------------------------------------------

with LDClient(Config("k", offline=True)) as client:
    record("offline", lambda: answers(client))
with LDClient(quiet(offline=True, defaults={"f": "mine"})) as client:
    record("offline, defaults", lambda: answers(client))
with LDClient(quiet(use_ldd=True)) as client:
    record("ldd, empty", lambda: answers(client))
    client.postfork()
    record("ldd, after fork", lambda: answers(client))
config = quiet(use_ldd=True, defaults={"unknown": "mine", "f": "mine"})
config.feature_store.init({FEATURES: {"f": flag("f", "stored")}, SEGMENTS: {}})
with LDClient(config) as client:
    record("ldd, full", lambda: answers(client))
    config.feature_store.upsert(FEATURES, flag("f", "newer", 2))
    record("ldd, written to", lambda: answers(client))
    config.feature_store.delete(FEATURES, "f", 3)
    record("ldd, deleted", lambda: answers(client))
with LDClient(Config(None, use_ldd=True, send_events=False)) as client:  # type: ignore[arg-type]
    record("no key", lambda: [client.get_sdk_key(), client.secure_mode_hash(user)])


# --- sources and stores of an application ------------------------------------------------------


class Source(UpdateProcessor):
    """Writes what it is told, when it starts."""

    made: ClassVar[list["Source"]] = []

    def __init__(self, config: Any, store: Any, ready: threading.Event) -> None:
        self.config, self.store, self.ready = config, store, ready
        self.events: list[str] = []
        self.has_data = False
        self.made.append(self)

    def start(self) -> None:
        self.events.append("start")
        self.store.init({FEATURES: {"f": flag("f", "sourced")}, SEGMENTS: {}})
        self.has_data = True
        self.ready.set()

    def stop(self) -> None:
        self.events.append("stop")

    def initialized(self) -> bool:
        return self.has_data

    def is_alive(self) -> bool:
        return True


class LazySource(Source):
    """Is ready, but has no data."""

    def start(self) -> None:
        self.ready.set()


class SinkSource(Source):
    """Uses the sink of the configuration."""

    def start(self) -> None:
        sink = self.config.data_source_update_sink
        sink.init({FEATURES: {"f": flag("f", "sunk")}, SEGMENTS: {}})
        sink.update_status(DataSourceState.VALID, None)
        self.has_data = True
        self.ready.set()


for kind in [Source, LazySource, SinkSource]:
    with LDClient(quiet(update_processor_class=kind), 1) as client:
        name, source = kind.__name__, Source.made[-1]
        record(f"{name}", lambda: answers(client))
        source.store.upsert(FEATURES, flag("f", "second", 2))
        record(f"{name}, written to", lambda: answers(client))
        source.store.upsert(FEATURES, flag("f", "older", 1))
        record(f"{name}, older", lambda: answers(client))
    record(f"{name}, events", lambda: source.events)
with LDClient(quiet(update_processor_class=SinkSource), 1) as client:
    sink = Source.made[-1].config.data_source_update_sink
    record("state by sink", lambda: source_state(client))
    sink.update_status(DataSourceState.INTERRUPTED, None)
    record("interrupted by sink", lambda: source_state(client))
    sink.delete(FEATURES, "f", 9)
    record("deleted by sink", lambda: answers(client))
    record("bad item", lambda: sink.upsert(FEATURES, {"key": "f"}))
record("source raises", lambda: LDClient(quiet(update_processor_class=lambda *_: 1 / 0)))
record("source is None", lambda: LDClient(quiet(update_processor_class=lambda *_: None)))


class Store(FeatureStore):
    """A store as an application might write it: dicts in dicts."""

    def __init__(self) -> None:
        self.data: dict[Any, dict[str, Any]] = {FEATURES: {}, SEGMENTS: {}}
        self.has_data = False
        self.order: list[str] = []
        self.is_broken = False

    def get(self, kind: Any, key: str, callback: Any = lambda x: x) -> Any:
        if self.is_broken:
            raise OSError("no database")
        item = self.data[kind].get(key)
        return callback(None if item is None or item.get("deleted") else item)

    def all(self, kind: Any, callback: Any = lambda x: x) -> Any:
        if self.is_broken:
            raise OSError("no database")
        return callback({k: v for k, v in self.data[kind].items() if not v.get("deleted")})

    def init(self, all_data: Any) -> None:
        self.order = [key for items in all_data.values() for key in items]
        self.data = {kind: dict(items) for kind, items in all_data.items()}
        self.has_data = True

    def upsert(self, kind: Any, item: Any) -> None:
        known = self.data[kind].get(item["key"])
        if known is None or known["version"] < item["version"]:
            self.data[kind][item["key"]] = item

    def delete(self, kind: Any, key: str, version: int) -> None:
        self.upsert(kind, {"key": key, "version": version, "deleted": True})

    @property
    def initialized(self) -> bool:
        return self.has_data


store = Store()
with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
    record("own store, empty", lambda: answers(client))
    store.init({FEATURES: {"f": flag("f", "other process")}, SEGMENTS: {}})
    record("own store, filled", lambda: answers(client))
    store.upsert(FEATURES, flag("f", "changed", 2))
    record("own store, changed", lambda: answers(client))
    store.data[FEATURES]["f"] = FEATURES.decode(flag("f", "a model", 3))
    record("own store, model", lambda: answers(client))
    store.is_broken = True
    record("own store, broken", lambda: answers(client))
store = Store()


class Needy(Source):
    """Has flags that need each other."""

    def start(self) -> None:
        needs = flag("a", "x") | {"prerequisites": [{"key": "z", "variation": 0}]}
        self.store.init(
            {FEATURES: {"a": needs, "z": flag("z", "y")}, SEGMENTS: {"s": flag("s", 1)}}
        )
        self.has_data = True
        self.ready.set()


client = LDClient(quiet(update_processor_class=Needy, feature_store=store), 1)
record("needs", lambda: detail(client.variation_detail("a", user, 7)))
client.close()
record("own store, written in order", lambda: [store.order, store.has_data])

# --- listeners ---------------------------------------------------------------------------------

client = LDClient(quiet(update_processor_class=SinkSource), 1)
sink = Source.made[-1].config.data_source_update_sink
heard: list[Any] = []
done = threading.Event()


def hear(change: Any) -> None:
    heard.append(change.key)
    if change.key == "end":
        done.set()


tracker = client.flag_tracker
values: list[Any] = []
handle = tracker.add_flag_value_change_listener(
    "f", user, lambda change: values.append([change.key, change.old_value, change.new_value])
)
tracker.add_listener(hear)
sink.upsert(FEATURES, flag("f", "next", 2))
sink.upsert(FEATURES, flag("g", "new", 1))
sink.upsert(FEATURES, flag("end", "end", 1))
done.wait(5)
record("changes heard", lambda: sorted(heard))
record("values heard", lambda: values)
record("handle is a listener", lambda: callable(handle))
tracker.remove_listener(handle)
tracker.remove_listener(hear)
tracker.remove_listener(hear)
client.close()

# --- the shared client, results ----------------------------------------------------------------

record("get without configuration", ldclient.get)
ldclient.set_config(quiet(offline=True))
record("get", lambda: ldclient.get() is ldclient.get())
first = ldclient.get()
ldclient.set_config(quiet(update_processor_class=data))
record("another configuration", lambda: [ldclient.get() is first, ldclient.get().is_offline()])
ldclient._reset_client()
record("reset", lambda: ldclient.get().variation("f", user, 7))
ldclient._reset_client()
ldclient.start_wait = 2
record("start_wait", lambda: ldclient.start_wait)

one = EvaluationDetail("v", 1, {"kind": "OFF"})
record("detail text", lambda: [str(one), repr(one), one.is_default_value()])
same = EvaluationDetail("v", 1, {"kind": "OFF"})
record("detail equal", lambda: [one == same, one != same])
record("detail not equal", lambda: one == EvaluationDetail("v", 0, {"kind": "OFF"}))
record("detail and others", lambda: one == 3)
record("detail hash", lambda: hash(one))
state = FeatureFlagsState(True)
state.add_flag(
    {
        "key": "a",
        "value": 1,
        "variation": 0,
        "version": 3,
        "reason": {"kind": "OFF"},
        "trackEvents": True,
        "trackReason": False,
        "debugEventsUntilDate": 5,
        "prerequisites": ["p"],
    },
    True,
    False,
)
record("state", lambda: [state.valid, state.to_values_map(), state.to_json_dict()])
record("state of one", lambda: [state.get_flag_value("a"), state.get_flag_reason("a")])
record("state of none", lambda: [state.get_flag_value("z"), state.get_flag_reason("z")])
record("state pickled as", state.__getstate__)
finish()
