"""One store of `flagkeep.stores` for several clients.

A `Config` holds a store and may serve several clients, one after the other or at once; `set_config`
opens the new client before it closes the old one. A store of the core belongs to one client: it is
closed with it, and tells each change once. So each client gets a share, and whoever writes through
one tells the others.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from flagkeep._runtime import threads as runtime
from flagkeep._sync.interfaces import FeatureStore
from flagkeep.errors import ConfigError
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord

_EVERYTHING: Final = StoreChanges(None)
_Refs = tuple[ItemRef, ...] | None


class Told(Protocol):
    """Somebody who wants to know what others write."""

    def note(self, changes: StoreChanges) -> None:
        """Take note of changes."""


class StoreShare:
    """What one client has of a store; behaves as the store itself.

    Attributes:
        changed: set by the client of a store that nobody polls: takes what others wrote.
    """

    def __init__(self, store: FeatureStore, circle: "Circle") -> None:
        self.name = store.name
        self.label = getattr(store, "label", store.name)
        self.poll_interval = store.poll_interval
        self.store = store
        self.changed: Callable[[_Refs], None] | None = None
        self._circle = circle
        self._guard = runtime.Guard()
        self._missed: StoreChanges | None = None

    @property
    def unstored(self) -> tuple[BadItem, ...]:
        """What the store did not take, or keeps for flagkeep alone."""
        found: tuple[BadItem, ...] = getattr(self.store, "unstored", ())
        return found

    def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there."""
        return self.store.get_many(wanted, timeout=timeout)

    def get_all(self, *, timeout: float | None = None) -> StoreContents:
        """Return everything."""
        return self.store.get_all(timeout=timeout)

    def is_initialized(self, *, timeout: float | None = None) -> bool:
        """Return whether a full set was ever written."""
        return self.store.is_initialized(timeout=timeout)

    def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        """Replace everything; others who use the store in this process are told."""
        self.store.replace(changes, record)
        self._circle.tell(_EVERYTHING, but=self)

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; others who use the store in this process are told."""
        refused = self.store.upsert(changes)
        self._circle.tell(changes_of(changes), but=self)
        return refused

    def poll_changes(self) -> StoreChanges | None:
        """Return what others changed since this client asked last."""
        changes = self.store.poll_changes()
        if changes is not None:
            self._circle.tell_sharers(self.store, changes)
        with self._guard:
            missed, self._missed = self._missed, None
        return missed

    def read_record(self) -> WriterRecord | None:
        """Return who wrote last."""
        return self.store.read_record()

    def close(self) -> None:
        """Give the share back; the last one closes the store."""
        self._circle.leave(self)

    def note(self, changes: StoreChanges) -> None:
        """Pass changes on, or remember them until the client asks."""
        if self.poll_interval is None:
            if self.changed is not None:
                self.changed(changes.refs)
            return
        with self._guard:
            known = self._missed
            if known is None:
                self._missed = changes
            elif known.refs is None or changes.refs is None:
                self._missed = _EVERYTHING
            else:
                self._missed = StoreChanges(tuple(dict.fromkeys(known.refs + changes.refs)))


class Circle:
    """All who use one database through one object of the application.

    It does not hold the store itself, so that nobody keeps it alive.

    Args:
        ends: whether the circle is over when its last client has left.
    """

    def __init__(self, *, ends: bool) -> None:
        self._ends = ends
        self._guard = runtime.Guard()
        self._shares: tuple[StoreShare, ...] = ()
        self._listeners: tuple[Told, ...] = ()
        self._is_over = False

    def join(self, store: FeatureStore) -> StoreShare:
        """Return a new share of `store`.

        Raises:
            ConfigError: the store was closed with the last client that used it.
        """
        with self._guard:
            if self._is_over:
                raise ConfigError(
                    f"the {store.name} store in feature_store was closed together with its"
                    " last client: make a new store for a new client"
                )
            share = StoreShare(store, self)
            self._shares += (share,)
            return share

    def listen(self, listener: Told) -> None:
        """Tell `listener` too, from now on."""
        with self._guard:
            self._listeners += (listener,)

    def leave(self, share: StoreShare) -> None:
        """Take a share back; closes its store with the last one."""
        with self._guard:
            if share not in self._shares:
                return
            self._shares = tuple(one for one in self._shares if one is not share)
            self._is_over = self._ends and not self._shares
            is_used = any(one.store is share.store for one in self._shares)
        if not is_used:
            share.store.close()

    def tell(self, changes: StoreChanges, but: Told | None) -> None:
        """Tell all, without the one that made the changes."""
        for one in (*self._listeners, *self._shares):
            if one is not but:
                one.note(changes)

    def tell_sharers(self, store: FeatureStore, changes: StoreChanges) -> None:
        """Tell all who have a share of this very store; it tells each change once."""
        for one in self._shares:
            if one.store is store:
                one.note(changes)


_circles: Final[WeakKeyDictionary[FeatureStore, Circle]] = WeakKeyDictionary()


def circle_of(store: FeatureStore) -> Circle:
    """Return the circle of a store that the application made."""
    return _circles.setdefault(store, Circle(ends=True))


def share_of(store: FeatureStore) -> StoreShare:
    """Return a share of `store` for one more client.

    Raises:
        ConfigError: the store was closed with the last client that used it.
    """
    return circle_of(store).join(store)


def changes_of(changes: ChangeSet) -> StoreChanges:
    """Return what somebody has to be told who did not write these."""
    if changes.full:
        return _EVERYTHING
    return StoreChanges(tuple(ref for ref, _ in changes.items()))
