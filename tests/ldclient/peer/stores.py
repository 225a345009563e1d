"""The store in memory, the caching one, and the kinds."""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.
# ruff: noqa: B023  what uses a variable of a loop is called at once

from typing import Any

from ldclient.feature_store import CacheConfig, InMemoryFeatureStore
from ldclient.feature_store_helpers import CachingStoreWrapper
from ldclient.interfaces import FeatureStoreCore
from ldclient.versioned_data_kind import FEATURES, SEGMENTS, VersionedDataKind
from recording import finish, record


def flag(version: int, **more: Any) -> dict[str, Any]:
    return {"key": "a", "version": version, **more}


def plain(item: Any) -> Any:
    return None if item is None else item.to_json_dict()


def everything(store: Any) -> Any:
    items = store.all(FEATURES, lambda found: found)
    return {key: plain(item) for key, item in items.items()}


store = InMemoryFeatureStore()
record("new", lambda: [store.initialized, store.get(FEATURES, "a"), everything(store)])
record("upsert", lambda: store.upsert(FEATURES, flag(2, on=True)))
record("not initialized by that", lambda: store.initialized)
record("got", lambda: plain(store.get(FEATURES, "a")))
for version in [1, 2, 3]:
    record(f"upsert {version}", lambda: store.upsert(FEATURES, flag(version, off=version)))
    record(f"after {version}", lambda: plain(store.get(FEATURES, "a")))
record("init", lambda: store.init({FEATURES: {"a": flag(1), "b": {"key": "b", "version": 1}}}))
record("initialized", lambda: [store.initialized, everything(store), store.get(SEGMENTS, "a")])
record("callback", lambda: store.get(FEATURES, "a", lambda item: [item["key"], item.get("x", 7)]))
record("absent, callback", lambda: store.get(FEATURES, "z", lambda item: [item]))
record("item", lambda: ["on" in store.get(FEATURES, "a"), "key" in store.get(FEATURES, "a")])
record("item, unknown", lambda: store.get(FEATURES, "a")["x"])
record("older delete", lambda: [store.delete(FEATURES, "a", 1), plain(store.get(FEATURES, "a"))])
record("delete", lambda: [store.delete(FEATURES, "a", 2), store.get(FEATURES, "a")])
record("all without it", lambda: sorted(everything(store)))
record(
    "older than the deletion", lambda: [store.upsert(FEATURES, flag(2)), store.get(FEATURES, "a")]
)
record("delete unknown", lambda: store.delete(FEATURES, "z", 5))
record(
    "late", lambda: [store.upsert(FEATURES, {"key": "z", "version": 4}), store.get(FEATURES, "z")]
)
for bad in [{"key": "q"}, {"key": "q", "version": "1"}, {"version": 1}, 3]:
    record(f"bad {bad!r}", lambda: store.upsert(FEATURES, bad))
    record(f"bad in init {bad!r}", lambda: store.init({FEATURES: {"q": bad}}))
record("all without callback", lambda: sorted(store.all(FEATURES)))  # type: ignore[call-arg]
record("available", lambda: [store.is_available(), store.is_monitoring_enabled()])
record("described", lambda: store.describe_configuration(None))

for kind in [FEATURES, SEGMENTS]:
    record(
        f"kind {kind.namespace}",
        lambda: [kind.namespace, kind.request_api_path, kind.stream_api_path, kind.priority],
    )
    record(
        f"decode {kind.namespace}", lambda: plain(kind.decode({"key": "a", "version": 1, "x": 3}))
    )
    record(f"encode {kind.namespace}", lambda: kind.encode(kind.decode({"key": "a", "version": 1})))
record("needs", lambda: list(FEATURES.get_dependency_keys({"prerequisites": [{"key": "p"}]})))
record(
    "needs nothing", lambda: [list(FEATURES.get_dependency_keys({})), SEGMENTS.get_dependency_keys]
)
record("plain kind", lambda: VersionedDataKind("a", "b", "c").decode({"x": 1}))


class Core(FeatureStoreCore):
    """A database that remembers what it was asked."""

    def __init__(self) -> None:
        self.data: dict[Any, dict[str, Any]] = {}
        self.has_data = False
        self.calls: list[str] = []

    def get_internal(self, kind: Any, key: str) -> Any:
        self.calls.append(f"get {key}")
        return self.data.get(kind, {}).get(key)

    def get_all_internal(self, kind: Any) -> Any:
        self.calls.append("all")
        return self.data.get(kind, {})

    def init_internal(self, all_data: Any) -> None:
        self.calls.append("init")
        self.data = {kind: dict(items) for kind, items in all_data.items()}
        self.has_data = True

    def upsert_internal(self, kind: Any, item: Any) -> Any:
        self.calls.append(f"upsert {item['key']} {item['version']}")
        known = self.data.setdefault(kind, {}).get(item["key"])
        if known is None or known["version"] < item["version"]:
            self.data[kind][item["key"]] = item
        return self.data[kind][item["key"]]

    def initialized_internal(self) -> bool:
        self.calls.append("initialized")
        return self.has_data


for caching in [CacheConfig.default(), CacheConfig.disabled()]:
    core = Core()
    cached = CachingStoreWrapper(core, caching)
    name = "cached" if caching.enabled else "not cached"
    record(f"{name}: not there", lambda: [cached.initialized, cached.initialized])
    record(f"{name}: absent", lambda: [cached.get(FEATURES, "a"), cached.get(FEATURES, "a")])
    record(
        f"{name}: init",
        lambda: cached.init(
            {
                FEATURES: {"a": flag(1), "d": {"key": "d", "version": 1, "deleted": True}},
                SEGMENTS: {},
            }
        ),
    )
    record(
        f"{name}: there",
        lambda: [cached.initialized, plain(cached.get(FEATURES, "a")), cached.get(FEATURES, "d")],
    )
    record(f"{name}: all", lambda: everything(cached))
    record(
        f"{name}: upsert",
        lambda: [cached.upsert(FEATURES, flag(3)), plain(cached.get(FEATURES, "a"))],
    )
    record(
        f"{name}: older",
        lambda: [cached.upsert(FEATURES, flag(2)), plain(cached.get(FEATURES, "a"))],
    )
    record(f"{name}: delete", lambda: [cached.delete(FEATURES, "a", 4), cached.get(FEATURES, "a")])
    record(f"{name}: all after", lambda: [everything(cached), everything(cached)])
    record(f"{name}: callback", lambda: cached.get(FEATURES, "z", lambda item: [item]))
    record(f"{name}: availability", lambda: [cached.is_available(), cached.is_monitoring_enabled()])
    record(f"{name}: described", lambda: cached.describe_configuration(None))
    core.data[FEATURES]["bad"] = {"key": "bad"}
    record(f"{name}: bad item", lambda: cached.get(FEATURES, "bad"))
    record(f"{name}: calls", lambda: core.calls)
    record(f"{name}: close", cached.close)
finish()
