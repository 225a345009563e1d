"""A source of flag data that a test changes while clients are running."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from flagkeep._runtime import fork
from flagkeep.errors import InvalidItem
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.item import Kind, SerializedItem
from flagkeep.model.required import fill_required
from flagkeep.model.tombstone import tombstone
from flagkeep.model.values import copy_json
from flagkeep.testing.flag_builder import FlagBuilder
from flagkeep.testing.test_source import TestSource

Listener = Callable[[ChangeSet], None]


class TestData:
    """Flags and segments made in code, for any number of clients at once.

    ```python
    data = TestData()
    data.update(data.flag("new-checkout").variation_for_user("amal", True))
    client = Client(Config(source=data))
    ```

    An update is in force in every running `Client` when the method that made it returns; for an
    `AsyncClient`, when `await applied()` does. All methods are safe to call from any thread.
    """

    __test__ = False  # its name would make pytest collect it

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._items: dict[Kind, dict[str, SerializedItem]] = {Kind.FLAG: {}, Kind.SEGMENT: {}}
        self._builders: dict[str, FlagBuilder] = {}
        self._listeners: dict[object, Listener] = {}
        self._sources: dict[object, TestSource] = {}
        self._async_sources: dict[object, Any] = {}
        fork.watch(self, fork.Rank.LOCK)

    def after_fork(self) -> None:
        """In the child of a fork: forget the parent's clients; called by itself."""
        self._lock = threading.RLock()
        self._listeners, self._sources, self._async_sources = {}, {}, {}

    # --- what a test changes ---

    def flag(self, key: str) -> FlagBuilder:
        """Return a copy of the builder that was last given to `update`, or a new one."""
        with self._lock:
            known = self._builders.get(key)
            return FlagBuilder(key) if known is None else known.copy()

    def update(self, flag: FlagBuilder) -> Self:
        """Make the flag what the builder says; later changes of the builder change nothing."""
        with self._lock:
            self._builders[flag.key] = flag.copy()
            self._put(Kind.FLAG, flag.key, flag.build(self._next_version(Kind.FLAG, flag.key)))
        return self._settle()

    def use_preconfigured_flag(self, flag: Mapping[str, Any]) -> Self:
        """Take a whole flag as JSON, for what the builder cannot say: rollouts, prerequisites.

        Its version counts only if it is above the last one.

        Raises:
            InvalidItem: it is no flag.
            NotJson: it holds what has no JSON form.
        """
        return self._use(Kind.FLAG, flag)

    def update_segment(self, segment: Mapping[str, Any]) -> Self:
        """Take a whole segment as JSON; version and errors as for `use_preconfigured_flag`."""
        return self._use(Kind.SEGMENT, segment)

    def delete(self, key: str) -> Self:
        """Delete a flag."""
        return self._delete(Kind.FLAG, key)

    def delete_segment(self, key: str) -> Self:
        """Delete a segment."""
        return self._delete(Kind.SEGMENT, key)

    # --- what clients and other listeners see ---

    def data(self) -> ChangeSet:
        """Return everything as a full set, tombstones included."""
        with self._lock:
            flags, segments = self._items[Kind.FLAG], self._items[Kind.SEGMENT]
            return ChangeSet(full=True, flags=dict(flags), segments=dict(segments))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the full set now and with each change, in order.

        It is called on the thread that makes the change, while no other change can happen.

        Returns:
            How to end that; does nothing the second time.
        """
        token = object()
        with self._lock:
            listener(self.data())
            self._listeners[token] = listener

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.pop(token, None)

        return unsubscribe

    def source(self) -> TestSource:
        """Return a new source for a `Client`; `Config(source=…)` calls it."""
        return TestSource(self.subscribe, self._sources)

    def async_source(self) -> Any:
        """Return a new source for an `AsyncClient`; `Config(source=…)` calls it."""
        # A program without asyncio need not pay for its import.
        from flagkeep.testing.async_test_source import AsyncTestSource  # noqa: PLC0415

        return AsyncTestSource(self.subscribe, self._async_sources)

    async def applied(self) -> None:
        """Wait until every running client of this event loop has all changes."""
        for source in list(self._async_sources.values()):
            await source.applied()

    # --- parts ---

    def _use(self, kind: Kind, item: Mapping[str, Any]) -> Self:
        whole = copy_json(item)
        key = whole.get("key")
        if not isinstance(key, str) or not key:
            raise InvalidItem(kind, "", "$.key", "it must be a string, and not empty")
        with self._lock:
            given = whole.get("version")
            least = self._next_version(kind, key)
            if not isinstance(given, int) or given < least:
                whole["version"] = least
            self._put(kind, key, whole)
            self._builders.pop(key, None)
        return self._settle()

    def _delete(self, kind: Kind, key: str) -> Self:
        with self._lock:
            self._builders.pop(key, None)
            self._publish(kind, key, tombstone(kind, key, self._next_version(kind, key)))
        return self._settle()

    def _put(self, kind: Kind, key: str, item: dict[str, Any]) -> None:
        text = fill_required(kind, key, encode_json(item))
        self._publish(kind, key, to_item(kind, key, text))

    def _publish(self, kind: Kind, key: str, item: SerializedItem) -> None:
        self._items[kind][key] = item
        changed = {key: item}
        if kind is Kind.FLAG:
            changes = ChangeSet(full=False, flags=changed)
        else:
            changes = ChangeSet(full=False, segments=changed)
        for listener in list(self._listeners.values()):
            listener(changes)

    def _next_version(self, kind: Kind, key: str) -> int:
        known = self._items[kind].get(key)
        return 1 if known is None else known.version + 1

    def _settle(self) -> Self:
        for source in list(self._sources.values()):
            source.wait_until_applied()
        return self
