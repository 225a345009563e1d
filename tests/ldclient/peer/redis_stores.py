"""A feature store in Redis: `redis_stores.py URL PREFIX OTHER`.

It works below PREFIX, and at the end reads what a program like this one left below OTHER.
"""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.
# ruff: noqa: B023  what uses a variable of a loop is called at once

import json
import sys
from typing import Any

import redis
from ldclient import Config, Context, LDClient
from ldclient.feature_store import CacheConfig
from ldclient.feature_store_helpers import CachingStoreWrapper
from ldclient.integrations import Redis
from ldclient.versioned_data_kind import FEATURES, SEGMENTS
from recording import detail, finish, record

URL, PREFIX, OTHER = sys.argv[1:]
KINDS = {"features": FEATURES, "segments": SEGMENTS}
KEYS = ["a", "ünïcode/€ 👍", "$weird:key", "needs", "gone", "late", "nothing"]
STRANGE = {
    "null": "null",
    "empty": "",
    "broken": '{"key":',
    "number": "7",
    "nameless": '{"version":7,"deleted":true}',
    "go": '{"key":"$deleted","on":false,"version":7,"deleted":true}',
    "unnamed": '{"version":3,"on":true,"variations":[1],"fallthrough":{"variation":0},"salt":""}',
}
raw = redis.Redis.from_url(URL)


def flag(key: str, version: int, value: Any, **more: Any) -> dict[str, Any]:
    outcome = {"variations": [value, None], "fallthrough": {"variation": 0}, "offVariation": 1}
    return {"key": key, "version": version, "on": True, "salt": "s", **outcome, **more}


def everything() -> Any:
    needs = flag("needs", 1, "yes", prerequisites=[{"key": "a", "variation": 0}], futureField=[1])
    clause = {"attribute": "", "op": "segmentMatch", "values": ["s"], "negate": True}
    rule = {"id": "r", "variation": 1, "clauses": [clause]}
    flags = [
        needs,
        flag("a", 1, {"deep": [1.5, "é", None]}, rules=[rule]),
        flag("ünïcode/€ 👍", 3, "ü"),
        flag("$weird:key", 1, True),
        {"key": "gone", "version": 4, "deleted": True},
    ]
    segments = [{"key": "s", "version": 2, "included": ["u"], "excluded": [], "salt": "s"}]
    return {
        FEATURES: {one["key"]: one for one in flags},
        SEGMENTS: {one["key"]: one for one in segments},
    }


def plain(item: Any) -> Any:
    """Return an item as the application sees it, without what only its form decides."""
    if item is None:
        return None
    given = item.to_json_dict() if hasattr(item, "to_json_dict") else dict(item)
    if given.get("deleted"):
        return {name: given.get(name) for name in ("key", "version", "deleted")}
    return given


def of(store: Any, key: str, kind: Any = FEATURES) -> Any:
    return plain(store.get(kind, key, lambda item: item))


def all_of(store: Any) -> Any:
    return {
        name: {key: plain(item) for key, item in store.all(kind, lambda found: found).items()}
        for name, kind in KINDS.items()
    }


def contents(prefix: str = PREFIX) -> Any:
    """Return what is in Redis, parsed; of tombstones what every SDK writes."""
    hashes = {}
    for name in KINDS:
        rows = raw.hgetall(f"{prefix}:{name}").items()
        hashes[name] = {key.decode(): plain(json.loads(text)) for key, text in rows}
    return [hashes, raw.exists(f"{prefix}:$inited")]


def evaluated(store: Any) -> Any:
    seen = {}
    with LDClient(Config("k", use_ldd=True, send_events=False, feature_store=store), 1) as client:
        for who in ("u", "v"):
            context = Context.create(who)
            for key in KEYS:
                seen[f"{key} for {who}"] = detail(client.variation_detail(key, context, "default"))
            seen[f"all for {who}"] = client.all_flags_state(context).to_json_dict()
        seen["initialized"] = client.is_initialized()
        status = client.data_store_status_provider.status
        seen["status"] = [status.available, status.stale]
        seen["monitored"] = client.data_store_status_provider.is_monitoring_enabled()
    return seen


for name, caching in {
    "cached": CacheConfig(expiration=30),
    "for ever": CacheConfig(expiration=float("inf")),
    "not cached": CacheConfig.disabled(),
}.items():
    raw.delete(*(f"{PREFIX}:{one}" for one in (*KINDS, "$inited")))
    store = Redis.new_feature_store(URL, PREFIX, caching=caching)
    record(f"{name}: made", lambda: [isinstance(store, CachingStoreWrapper), store.is_available()])
    record(f"{name}: described", lambda: [store.is_monitoring_enabled(), contents()])
    record(f"{name}: description", lambda: store.describe_configuration(None))
    record(f"{name}: not there", lambda: [store.initialized, of(store, "a"), all_of(store)])
    record(f"{name}: upsert", lambda: [store.upsert(FEATURES, flag("a", 5, 5)), of(store, "a")])
    record(f"{name}: all after that", lambda: all_of(store))
    record(f"{name}: no marker", lambda: [raw.exists(f"{PREFIX}:$inited"), contents()])
    record(f"{name}: init", lambda: store.init(everything()))
    record(f"{name}: contents", contents)
    record(f"{name}: initialized", lambda: [store.initialized, all_of(store)])
    record(f"{name}: items", lambda: {key: of(store, key) for key in KEYS})
    record(f"{name}: segment", lambda: [of(store, "s", SEGMENTS), of(store, "a", SEGMENTS)])
    record(f"{name}: evaluated", lambda: evaluated(store))
    for step, version in enumerate((2, 2, 1, 3)):
        changed = flag("a", version, f"at {version}")
        record(
            f"{name}: upsert {step} at {version}",
            lambda: [store.upsert(FEATURES, changed), of(store, "a"), contents()],
        )
    for version in (2, 3, 4):
        record(
            f"{name}: delete {version}",
            lambda: [store.delete(FEATURES, "a", version), of(store, "a"), contents()],
        )
    record(f"{name}: delete unknown", lambda: [store.delete(FEATURES, "late", 9), contents()])
    record(
        f"{name}: late",
        lambda: [store.upsert(FEATURES, flag("late", 8, 0)), of(store, "late"), contents()],
    )
    record(
        f"{name}: back",
        lambda: [store.upsert(FEATURES, flag("a", 5, "back")), of(store, "a"), contents()],
    )
    record(f"{name}: all", lambda: all_of(store))
    record(f"{name}: callback", lambda: store.get(FEATURES, "a", lambda item: [item["version"]]))
    record(f"{name}: init again", lambda: [store.init(everything()), contents(), all_of(store)])
    for key, text in {"go": STRANGE["go"], "nameless": STRANGE["nameless"]}.items():
        raw.hset(f"{PREFIX}:features", "a", text)
        record(
            f"{name}: refused by {key}",
            lambda: [store.upsert(FEATURES, flag("a", 6, "late")), of(store, "a")],
        )
    record(f"{name}: one kind", lambda: [store.init({FEATURES: {}}), contents()])
    record(f"{name}: init, then others", lambda: store.init(everything()))
    for key, text in STRANGE.items():
        raw.hset(f"{PREFIX}:features", key, text)
        record(f"{name}: strange {key}", lambda: of(store, key))
        fresh = Redis.new_feature_store(URL, PREFIX, caching=caching)
        record(f"{name}: all with strange {key}", lambda: sorted(all_of(fresh)["features"]))
        fresh.close()
        raw.hdel(f"{PREFIX}:features", key)
    for bad in ({"key": "q"}, {"version": 1}, 3):
        record(f"{name}: bad {bad!r}", lambda: store.upsert(FEATURES, bad))
    record(f"{name}: end", lambda: [store.init(everything()), contents()])
    record(f"{name}: close", store.close)
    record(f"{name}: after close", lambda: of(store, "a"))
    store.close()

for options in ({"decode_responses": True}, {"max_connections": 1}, {"socket_timeout": 3}):
    store = Redis.new_feature_store(URL, PREFIX, redis_opts=options)
    record(f"options {options}", lambda: [of(store, "a"), store.initialized])
    store.close()

if raw.exists(f"{OTHER}:$inited"):
    store = Redis.new_feature_store(URL, OTHER, caching=CacheConfig.disabled())
    record("other: contents", lambda: contents(OTHER))
    record("other: initialized", lambda: [store.initialized, all_of(store)])
    record("other: evaluated", lambda: evaluated(store))
    record("other: newer", lambda: [store.upsert(FEATURES, flag("a", 1, 0)), of(store, "a")])
    record("other: deleted", lambda: of(store, "gone"))
    record("other: late", lambda: [store.upsert(FEATURES, flag("gone", 4, 0)), of(store, "gone")])
    store.close()
raw.close()
finish()
