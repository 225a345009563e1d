"""A client that streams, from the address given: what it answers, and what it reports."""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.
# ruff: noqa: B023  what uses a variable of a loop is called at once

import sys
import time
from typing import Any

from ldclient import Config, Context, LDClient, MigratorBuilder, Result, Stage
from ldclient.interfaces import DataSourceState
from ldclient.versioned_data_kind import FEATURES
from recording import detail, finish, record

uri = sys.argv[1]
user = Context.builder("u").set("email", "e").set("phone", "p").private("phone").build()
anonymous = Context.builder("guest").anonymous(True).set("plan", "free").build()
both = Context.create_multi(user, Context.create("o", "org"))


def to(**settings: Any) -> Config:
    given = {"flush_interval": 3600, "diagnostic_opt_out": True} | settings
    return Config("sdk-key", base_uri=uri, events_uri=uri, stream_uri=uri, **given)


config = to(private_attributes={"email"}, omit_anonymous_contexts=True)
with LDClient(config) as client:
    record("initialized", client.is_initialized)
    state = client.data_source_status_provider.status
    record("status", lambda: [state.state.value, state.error])
    for key in ["plain", "tracked", "needs", "off", "experiment", "unknown"]:
        record(f"{key}", lambda: client.variation(key, user, 7))
        record(f"{key}, detail", lambda: detail(client.variation_detail(key, both, 7)))
        record(f"{key}, anonymous", lambda: client.variation(key, anonymous, 7))
    client.variation("plain", user, 8)
    client.track("bought", user, {"x": [1, None]}, 0)
    client.track("bought", anonymous)
    client.identify(user)
    client.identify(anonymous)
    builder = MigratorBuilder(client)
    builder.read(lambda _: Result.success(1), lambda _: Result.success(1), lambda a, b: a == b)
    builder.write(lambda _: Result.fail("no"), lambda _: Result.success(1)).track_latency(False)
    migrator = builder.build()
    record("read", lambda: migrator.read("migration", user, Stage.OFF).value)
    record("write", lambda: migrator.write("migration", user, Stage.OFF).authoritative.value)
    store = config.feature_store
    record("in store", lambda: store.get(FEATURES, "plain")["version"])
    record("all in store", lambda: sorted(store.all(FEATURES, lambda items: items)))
with LDClient(to(stream=False, send_events=False)) as client:
    record("polled", lambda: detail(client.variation_detail("plain", user, 7)))
closed = "http://127.0.0.1:9"
start = time.monotonic()
with LDClient(Config("k", stream_uri=closed, send_events=False), 0.3) as client:
    record("waited", lambda: 0.25 < time.monotonic() - start < 2)
    record("nobody there", client.is_initialized)
    record("default", lambda: detail(client.variation_detail("plain", user, 7)))
    state = client.data_source_status_provider.status
    record("state", lambda: state.state is DataSourceState.INITIALIZING)
    record("error", lambda: state.error.kind.value)
finish()
