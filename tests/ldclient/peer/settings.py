"""What `Config` makes of what it is given."""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.
# ruff: noqa: B023  what uses a variable of a loop is called at once

import warnings
from typing import Any

from ldclient.config import BigSegmentsConfig, Config, HTTPConfig
from ldclient.feature_store import CacheConfig, InMemoryFeatureStore
from recording import finish, record

PLAIN = [
    "sdk_key",
    "base_uri",
    "get_latest_flags_uri",
    "events_base_uri",
    "events_uri",
    "stream_base_uri",
    "stream_uri",
    "stream",
    "initial_reconnect_delay",
    "poll_interval",
    "use_ldd",
    "send_events",
    "events_max_pending",
    "flush_interval",
    "private_attributes",
    "all_attributes_private",
    "offline",
    "context_keys_capacity",
    "context_keys_flush_interval",
    "diagnostic_opt_out",
    "diagnostic_recording_interval",
    "wrapper_name",
    "wrapper_version",
    "application",
    "hooks",
    "plugins",
    "enable_event_compression",
    "omit_anonymous_contexts",
    "payload_filter_key",
    "data_source_update_sink",
    "datasystem_config",
    "update_processor_class",
    "feature_requester_class",
    "event_processor_class",
]


def shown(config: Config) -> Any:
    return {name: getattr(config, name) for name in PLAIN}


def quiet(**settings: Any) -> Config:
    """A configuration that connects to nobody and sends nothing."""
    return Config("k", use_ldd=True, send_events=False, **settings)


warnings.simplefilter("ignore")
record("defaults", lambda: shown(Config("k")))
record("offline", lambda: shown(Config("k", offline=True)))
for key in ["k", "", None, 3, "a b", "a\n", "ü", "a-b_c.D9", "a" * 8192, "a" * 8193]:
    record(f"key {key!r:.9}{len(str(key))}", lambda: Config(key).sdk_key)
for name in ["base_uri", "events_uri", "stream_uri"]:
    record(f"{name} with slashes", lambda: shown(quiet(**{name: "http://x:1//"})))
    record(f"{name} None", lambda: shown(quiet(**{name: None})))
for value in [1, 30, 31.5, "30", None]:
    record(f"poll_interval {value!r}", lambda: quiet(poll_interval=value).poll_interval)
    interval = {"diagnostic_recording_interval": value}
    record(f"interval {value!r}", lambda: quiet(**interval).diagnostic_recording_interval)
for application in [
    None,
    {},
    {"id": "a", "version": "1"},
    {"id": "a", "other": 3},
    {"id": "a b"},
    {"version": "x" * 64},
    {"version": "x" * 65},
    {"id": None},
    {"id": 3},
    3,
]:
    record(f"application {application!r}", lambda: quiet(application=application).application)
for given in [None, [], (), [3], 3]:
    record(f"hooks {given!r}", lambda: quiet(hooks=given).hooks)
    record(f"plugins {given!r}", lambda: quiet(plugins=given).plugins)
for names in [{"a"}, ["a"], (), None, 3, "email"]:
    record(f"private {names!r}", lambda: quiet(private_attributes=names).private_attributes)
record(
    "positional", lambda: shown(Config("k", "http://a", "http://b", 5, 6, "http://c", offline=True))
)
record("unknown", lambda: Config("k", connect_timeout=3))  # type: ignore[call-arg]
record("default there", lambda: Config("k", defaults={"f": 1}).get_default("f", 2))
record("default not there", lambda: Config("k", defaults={"f": 1}).get_default("g", 2))
record("no defaults", lambda: Config("k", defaults=None).get_default("g", 2))  # type: ignore[arg-type]
record("wrapper", lambda: shown(quiet().with_wrapper_information("n", "1")))
record("wrapper of the first", lambda: quiet(wrapper_name="w").wrapper_name)
original = quiet(
    payload_filter_key="p", application={"id": "a"}, wrapper_name="w", defaults={"f": 1}
)
copy = original.copy_with_new_sdk_key("other")
record("copy", lambda: shown(copy))
record("copy, store", lambda: copy.feature_store is original.feature_store)
record("copy, default", lambda: copy.get_default("f", 2))
record("a store each", lambda: Config("k").feature_store is Config("k").feature_store)
record("store", lambda: type(Config("k").feature_store) is InMemoryFeatureStore)
record("http", lambda: sorted(k.rsplit("__")[-1].strip("_") for k in vars(HTTPConfig())))
big = BigSegmentsConfig()
record(
    "big segments",
    lambda: [
        big.store,
        big.context_cache_size,
        big.context_cache_time,
        big.status_poll_interval,
        big.stale_after,
    ],
)
record("set", lambda: setattr(original, "offline", True))
for seconds in [15.0, 0, -1, None]:
    record(f"cache {seconds}", lambda: CacheConfig(seconds).enabled)  # type: ignore[arg-type]
cache = [CacheConfig.default(), CacheConfig.disabled()]
record("caches", lambda: [[one.enabled, one.expiration, one.capacity] for one in cache])
finish()
