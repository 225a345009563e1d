"""One store of `flagkeep.stores` for several clients.

A `Config` holds a store and may serve several clients, one after the other or at once; `set_config`
opens the new client before it closes the old one. A store of the core belongs to one client: it is
closed with it, and tells each change once. So each client gets a share of the store.
"""

from collections.abc import Iterable
from threading import Lock
from typing import Final
from weakref import WeakKeyDictionary

from flagkeep._sync.interfaces import FeatureStore
from flagkeep.errors import ConfigError
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, SerializedItem
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord

_EVERYTHING: Final = StoreChanges(None)


class StoreShare:
    """What one client has of a store; behaves as the store itself."""

    def __init__(self, store: FeatureStore, hub: "_Hub") -> None:
        self.name = store.name
        self.poll_interval = store.poll_interval
        self.store = store
        self._hub = hub
        self._missed: StoreChanges | None = None

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
        """Replace everything; other clients of the store in this process are told."""
        self.store.replace(changes, record)
        self._hub.tell(_EVERYTHING, but=self)

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; other clients of the store in this process are told."""
        refused = self.store.upsert(changes)
        self._hub.tell(StoreChanges(tuple(ref for ref, _ in changes.items())), but=self)
        return refused

    def poll_changes(self) -> StoreChanges | None:
        """Return what others changed since this client asked last."""
        return self._hub.poll(self)

    def read_record(self) -> WriterRecord | None:
        """Return who wrote last."""
        return self.store.read_record()

    def close(self) -> None:
        """Give the share back; the last one closes the store."""
        self._hub.leave(self)

    def note(self, changes: StoreChanges) -> None:
        """Remember changes until this client asks."""
        known = self._missed
        if known is None:
            self._missed = changes
        elif known.refs is None or changes.refs is None:
            self._missed = _EVERYTHING
        else:
            self._missed = StoreChanges(tuple(dict.fromkeys(known.refs + changes.refs)))

    def take(self) -> StoreChanges | None:
        """Return what was remembered, and forget it."""
        changes, self._missed = self._missed, None
        return changes


class _Hub:
    """All shares of one store. It does not hold the store itself, so that nobody keeps it alive."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._shares: tuple[StoreShare, ...] = ()
        self._is_closed = False

    def join(self, store: FeatureStore) -> StoreShare:
        """Return a new share of `store`.

        Raises:
            ConfigError: the store was closed with the last client that used it.
        """
        with self._guard:
            if self._is_closed:
                raise ConfigError(
                    f"the {store.name} store in feature_store was closed together with its"
                    " last client: make a new store for a new client"
                )
            share = StoreShare(store, self)
            self._shares += (share,)
            return share

    def leave(self, share: StoreShare) -> None:
        """Take a share back; closes the store with the last one."""
        with self._guard:
            if share not in self._shares:
                return
            self._shares = tuple(one for one in self._shares if one is not share)
            self._is_closed = not self._shares
        if self._is_closed:
            share.store.close()

    def poll(self, share: StoreShare) -> StoreChanges | None:
        """Ask the store, tell everybody, and return what `share` does not know yet."""
        changes = share.store.poll_changes()
        if changes is not None:
            self.tell(changes)
        with self._guard:
            return share.take()

    def tell(self, changes: StoreChanges, but: StoreShare | None = None) -> None:
        """Tell all shares, without the one that made the changes."""
        with self._guard:
            for share in self._shares:
                if share is not but:
                    share.note(changes)

    def after_fork(self) -> None:
        """Forget the parent's clients, and a lock that one of its threads may have held."""
        self._guard = Lock()
        self._shares = ()


_hubs: Final[WeakKeyDictionary[FeatureStore, _Hub]] = WeakKeyDictionary()


def share_of(store: FeatureStore) -> StoreShare:
    """Return a share of `store` for one more client.

    Raises:
        ConfigError: the store was closed with the last client that used it.
    """
    return _hubs.setdefault(store, _Hub()).join(store)


def forget_parent(store: FeatureStore) -> None:
    """Give up, in a forked child, the shares that the parent's clients have of `store`."""
    hub = _hubs.get(store)
    if hub is not None:
        hub.after_fork()
