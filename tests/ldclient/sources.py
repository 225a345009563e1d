"""What the tests of this folder share: flags, quiet configurations, custom sources and stores."""

import threading
from collections.abc import Callable
from typing import Any, Final

from flagkeep._runtime import threads as runtime
from flagkeep.ldclient import Config, Context
from flagkeep.ldclient.interfaces import FeatureStore, UpdateProcessor
from flagkeep.ldclient.versioned_data_kind import FEATURES, SEGMENTS, VersionedDataKind
from tests.servers.server import free_port

USER: Final = Context.create("u")
PATIENCE: Final = 10.0


def flag(key: str, value: Any, version: int = 1) -> dict[str, Any]:
    """A flag that has one value for everybody."""
    outcome = {"variations": [value], "fallthrough": {"variation": 0}, "salt": ""}
    return {"key": key, "version": version, "on": True, **outcome}


def environment(**values: Any) -> dict[VersionedDataKind, dict[str, Any]]:
    """What `init` takes: flags with these values."""
    return {FEATURES: {key: flag(key, value) for key, value in values.items()}, SEGMENTS: {}}


def quiet(**settings: Any) -> Config:
    """A configuration without events, so that nothing is announced."""
    return Config("sdk-key", send_events=False, **settings)


def keyless(**settings: Any) -> Config:
    """A configuration without a key, which therefore connects to nobody."""
    return Config("", send_events=False, **settings)


def nobody(**settings: Any) -> Config:
    """A configuration that would stream, from where nobody listens."""
    return quiet(stream_uri=f"http://127.0.0.1:{free_port()}", **settings)


def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition()` is true."""
    give_up = runtime.monotonic() + PATIENCE
    while not condition():
        assert runtime.monotonic() < give_up, "it never became true"
        threading.Event().wait(0.005)


class Source(UpdateProcessor):
    """A custom source under the control of a test."""

    def __init__(self, config: Config, store: FeatureStore, ready: threading.Event) -> None:
        self.config, self.store, self.ready = config, store, ready
        self.events: list[str] = []
        self.has_data = False

    def start(self) -> None:
        self.events.append("start")

    def stop(self) -> None:
        self.events.append("stop")

    def initialized(self) -> bool:
        return self.has_data


class Making:
    """A value for `update_processor_class` that remembers what it made."""

    def __init__(self, *, with_data: dict[VersionedDataKind, dict[str, Any]] | None = None) -> None:
        self.made: list[Source] = []
        self.with_data = with_data

    def __call__(self, config: Config, store: FeatureStore, ready: threading.Event) -> Source:
        source = Source(config, store, ready)
        self.made.append(source)
        if self.with_data is not None:
            store.init(self.with_data)
            source.has_data = True
            ready.set()
        return source


class DictStore(FeatureStore):
    """A feature store as an application might write it."""

    def __init__(self) -> None:
        self.data: dict[VersionedDataKind, dict[str, Any]] = {FEATURES: {}, SEGMENTS: {}}
        self.has_data = False
        self.calls: list[str] = []
        self.broken: Exception | None = None

    def get(
        self, kind: VersionedDataKind, key: str, callback: Callable[[Any], Any] = lambda x: x
    ) -> Any:
        self._note("get")
        item = self.data[kind].get(key)
        return callback(None if item is None or _is_deleted(item) else item)

    def all(self, kind: VersionedDataKind, callback: Callable[[Any], Any] = lambda x: x) -> Any:
        self._note("all")
        return callback({k: v for k, v in self.data[kind].items() if not _is_deleted(v)})

    def init(self, all_data: Any) -> None:
        self._note("init " + " ".join(key for items in all_data.values() for key in items))
        self.data = {kind: dict(items) for kind, items in all_data.items()}
        self.has_data = True

    def upsert(self, kind: VersionedDataKind, item: Any) -> None:
        self._note(f"upsert {item['key']} {item['version']}")
        known = self.data[kind].get(item["key"])
        if known is None or known["version"] < item["version"]:
            self.data[kind][item["key"]] = item

    def delete(self, kind: VersionedDataKind, key: str, version: int) -> None:
        self._note(f"delete {key} {version}")
        self.data[kind][key] = {"key": key, "version": version, "deleted": True}

    @property
    def initialized(self) -> bool:
        return self.has_data

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.broken is not None:
            raise self.broken


def _is_deleted(item: Any) -> bool:
    return isinstance(item, dict) and bool(item.get("deleted"))
