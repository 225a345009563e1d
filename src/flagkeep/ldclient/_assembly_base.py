"""How a configuration becomes a client of the core, whatever its colour.

| feature_store | data source                  | the core gets                                  |
|---------------|------------------------------|------------------------------------------------|
| in memory     | any, or none                 | no store; a source of what is in memory        |
| other         | LaunchDarkly, a relay        | the store, and the connection                  |
| other         | `Files`, `TestData`          | the store, and that source                     |
| other         | custom update processor      | the store, a source with its own memory        |
| other         | custom feature requester     | the store, a source that polls with it         |
| other         | none (`use_ldd`, or no key)  | the store, which is only read                  |

"Other" is a feature store of the application or a store of `flagkeep.stores`. A caching wrapper
around such a store, which is what the factories of `ldclient.integrations` return, lends the client
the store behind it and its cache time: last known good, refreshing, status and forks are the core's
business.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeGuard, TypeVar

from flagkeep.config import CachePolicy, StorePolicy
from flagkeep.config import Config as CoreConfig
from flagkeep.hooks import Hook
from flagkeep.ldclient import _policy
from flagkeep.ldclient._core_settings import (
    AnyConfig,
    core_config,
    is_without_upstream,
    sends_events,
    upstream_of,
)
from flagkeep.ldclient._item_cache import FOR_EVER
from flagkeep.ldclient._settings import is_core_source

log = logging.getLogger("ldclient.util")

ClientT = TypeVar("ClientT")
T = TypeVar("T")

_OWN_METHODS: Final = ("get", "all", "init", "upsert", "delete", "initialized")


class AssemblyBase(ABC, Generic[ClientT]):
    """One client of the core, with what this face puts before and behind it.

    Attributes:
        client: the core's client. It begins its work with `start`.
        has_store: whether it has a persistent store.
        has_source: whether anything supplies it with data by itself.
        has_big_segments: whether it has a Big Segment store.
        policy: in force for the store.

    Args:
        config: the settings.
        hooks: those of the configuration and of its plugins.

    Raises:
        ConfigError: the settings cannot work.
    """

    def __init__(self, config: AnyConfig, hooks: tuple[Hook, ...]) -> None:
        self._config = config
        self._has_ended = False
        store = config.feature_store
        is_in_memory = self._is_memory(store)
        self._store: Any = None if is_in_memory or config.offline else self._store_of(store)
        self._memory: Any = store if is_in_memory else self._new_memory()
        self._custom: Any = None if config.offline else self._custom_source(is_in_memory)
        self._upstream = upstream_of(config) if self._custom is None else None
        if not (config.offline or self._custom or self._upstream) and is_in_memory:
            self._custom = self._source_of_memory(None)
        self.has_store = self._store is not None
        self.has_source = is_fed(config)
        self.has_big_segments = config.big_segments.store is not None and not config.offline
        self.policy = _policy.current() or StorePolicy.from_environment()
        source = self._custom or self._upstream
        self._only_reads = source is None and self.has_store
        settings = core_config(
            config,
            source=source,
            daemon=self._only_reads,
            cache=self._cache(),
            policy=self.policy,
            hooks=hooks,
        )
        self.client = self._new_client(
            settings, self._memory if is_in_memory and self._upstream is not None else None
        )

    # --- what a colour has ---------------------------------------------------------------------

    @abstractmethod
    def _is_memory(self, store: Any) -> bool:
        """Whether it is the store in memory, and not a subclass that does something else."""

    @abstractmethod
    def _new_memory(self) -> Any:
        """Return an empty store in memory."""

    @abstractmethod
    def _store_of(self, store: Any) -> Any:
        """Return a store of the core: the given one, one that it lends, or one around it."""

    @abstractmethod
    def _is_foreign(self) -> bool:
        """Whether the store in use is one of the application."""

    @abstractmethod
    def _lent_cache(self, store: Any) -> float | None:
        """Return the cache time of a wrapper that lends its store; None if it is none."""

    @abstractmethod
    def _source_of_memory(self, inner: Any) -> Any:
        """Return a source of what is in memory, fed by `inner`, which is one of the core's."""

    @abstractmethod
    def _source_of_processor(self, make: Any) -> Any:
        """Return a source around what `make`, of the application, makes."""

    @abstractmethod
    def _requester_source(self) -> Any:
        """Return a source that polls with a class of the application."""

    @abstractmethod
    def _new_client(self, settings: CoreConfig, memory: Any) -> ClientT:
        """Return a client of the core; what it gets from upstream goes through `memory`."""

    def note_end(self, events_lost: Mapping[str, int]) -> None:
        """Say, once, which events were lost when the client was closed."""
        if events_lost and not self._has_ended:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in events_lost.items())
            log.warning("the client is closed, and events are lost (%s)", reasons)
        self._has_ended = True

    # --- inside --------------------------------------------------------------------------------

    def _new_event_processor(self) -> Any:
        """Return what `event_processor_class` makes; None if there is none, or it has no work."""
        make = self._config.event_processor_class
        is_idle = self._config.offline or not self._config.send_events
        return None if make is None or is_idle else make(self._config)

    def _custom_source(self, is_in_memory: bool) -> Any:
        given = self._config.update_processor_class
        if given is not None and not is_core_source(given):
            return self._source_of_processor(given)
        polls = has_requester(self._config)
        source = self._requester_source() if polls else given
        return self._source_of_memory(source) if source is not None and is_in_memory else source

    def _cache(self) -> CachePolicy:
        """Ask at every evaluation what has a cache of its own."""
        if self._is_foreign():
            return CachePolicy.off()
        seconds = self._lent_cache(self._config.feature_store)
        if seconds is None:
            return CachePolicy()
        if seconds <= 0:
            return CachePolicy.off()
        return CachePolicy.forever() if seconds >= FOR_EVER else CachePolicy(seconds)

    @property
    def _waits(self) -> bool:
        """Whether waiting for data can be of use."""
        return not (self._config.offline or self._config.use_ldd)


def has_requester(config: AnyConfig) -> bool:
    """Whether the configuration polls with a class of the application."""
    is_asked = config.feature_requester_class is not None and not config.stream
    return is_asked and not is_without_upstream(config)


def is_fed(config: AnyConfig) -> bool:
    """Whether anything supplies a client with data by itself."""
    is_custom = config.update_processor_class is not None or has_requester(config)
    return is_custom or upstream_of(config) is not None


def is_plain(store: object, kind: type[T]) -> TypeGuard[T]:
    """Whether it is of this class, or a subclass of it that stores as it does."""
    return isinstance(store, kind) and all(
        getattr(type(store), name) is getattr(kind, name) for name in _OWN_METHODS
    )


def missing_key(config: AnyConfig) -> str | None:
    """Return what to say of a missing SDK key; None where it is not missed."""
    if config.sdk_key or is_without_upstream(config):
        return None
    if is_fed(config):
        return "Missing or blank SDK key."
    events = "" if sends_events(config) or not config.send_events else ", and no events are sent"
    return (
        "Missing or blank SDK key: LaunchDarkly is not asked; the client serves what its feature"
        f" store holds{events}"
    )
