"""`LDClient`, the client of the official SDK, over the core's `Client`.

How a configuration becomes a client of the core (what reads and writes what) is `_assembly`'s
business. This module is the list of methods.
"""

import hashlib
import hmac
import logging
import time
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Never, Self

from flagkeep._runtime import fork
from flagkeep.errors import ConfigError, NotBuiltYet
from flagkeep.ldclient import _unbuilt
from flagkeep.ldclient._assembly import Assembly
from flagkeep.ldclient._statuses import FlagChanges, NoBigSegments, SourceStatuses, StoreStatuses
from flagkeep.ldclient.config import Config
from flagkeep.ldclient.context import Context
from flagkeep.ldclient.evaluation import EvaluationDetail, FeatureFlagsState
from flagkeep.ldclient.hook import Hook
from flagkeep.ldclient.interfaces import (
    BigSegmentStoreStatusProvider,
    DataSourceState,
    DataSourceStatus,
    DataSourceStatusProvider,
    DataStoreStatusProvider,
    FlagTracker,
)
from flagkeep.model import context as core

__all__ = ["Config", "LDClient"]

log = logging.getLogger("ldclient.util")

LONG_WAIT: Final = 60
_CONTEXTS: Final = (Context, core.Context)  # looked up in this order, at every evaluation


class LDClient:
    """Evaluates feature flags. Safe to use from any thread; an application needs one of them.

    Args:
        config: the settings.
        start_wait: how many seconds to wait for data at most. The client goes on trying.

    Raises:
        ConfigError: the settings cannot work.
    """

    def __init__(self, config: Config, start_wait: float = 5) -> None:
        if not isinstance(config, Config):
            given = type(config).__name__
            raise ConfigError(f"LDClient takes a Config, such as Config('sdk-key'), not {given}")
        self._config = config
        _unbuilt.announce(config)
        self._assemble(start_wait)

    def _assemble(self, start_wait: float) -> None:
        if not isinstance(start_wait, int | float):
            raise ConfigError(f"start_wait must be a number of seconds, not {start_wait!r}")
        if start_wait > LONG_WAIT:
            log.warning("start_wait is %s seconds: the program may wait that long", start_wait)
        config = self._config
        self._assembly = Assembly(config)
        client = self._assembly.client
        self._variation = client.variation  # bound once: every evaluation goes through it
        self._detail = client.variation_detail
        is_complete = config.offline or config.use_ldd
        state = DataSourceState.VALID if is_complete else DataSourceState.INITIALIZING
        self._source_statuses = SourceStatuses(
            client,
            has_source=config.update_processor_class is not None,
            otherwise=DataSourceStatus(state, time.time(), None),
        )
        self._store_statuses = StoreStatuses(
            client,
            has_store=self._assembly.has_store,
            is_monitored=self._assembly.is_store_monitored,
        )
        self._flag_changes = FlagChanges(client, _accepted)
        self._assembly.start(start_wait)
        if config.update_processor_class is not None and not self.is_initialized():
            log.warning("no flag data within %s s; the client goes on trying", start_wait)

    # --- life ----------------------------------------------------------------------------------

    def postfork(self, start_wait: float = 5) -> None:
        """Start anew in a forked child. Listeners of before are not taken over.

        A client gets over a fork by itself; this is here for programs that call it.

        Args:
            start_wait: as for the constructor.
        """
        fork.settle()
        old = self._assembly
        self._assemble(start_wait)
        old.client.close()

    def close(self) -> None:
        """End the background work. Evaluations go on answering from memory."""
        self._assembly.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def get_sdk_key(self) -> str:
        """Return the SDK key."""
        return self._config.sdk_key

    def is_offline(self) -> bool:
        """Whether the client asks nobody and every evaluation gives its default."""
        return self._config.offline

    def is_initialized(self) -> bool:
        """Whether evaluations use real data; offline and with `use_ldd` always."""
        return self._config.offline or self._config.use_ldd or self._assembly.has_data()

    # --- evaluation ----------------------------------------------------------------------------

    def variation(self, key: str, context: core.Context, default: Any) -> Any:
        """Return the value of a flag for a context.

        Args:
            key: of the flag.
            context: what it is evaluated for.
            default: returned where there is no value: no such flag, no data, invalid context, a
                flag that is off and says nothing else, or any failure.
        """
        if type(context) not in _CONTEXTS:
            context = _accepted(context)
        return self._variation(key, context, default)

    def variation_detail(self, key: str, context: core.Context, default: Any) -> EvaluationDetail:
        """Return the value of a flag with its index and the reason."""
        if type(context) not in _CONTEXTS:
            context = _accepted(context)
        detail = self._detail(key, context, default)
        return EvaluationDetail(detail.value, detail.index, detail.reason.to_dict())

    def all_flags_state(self, context: core.Context, **kwargs: Any) -> FeatureFlagsState:
        """Return the values of all flags for a context.

        Args:
            context: what they are evaluated for.
            **kwargs: `client_side_only`: only flags that JavaScript SDKs may see;
                `with_reasons`: also say why; `details_only_for_tracked_flags`: leave out what
                nobody needs who sends no events. Others are ignored.
        """
        if type(context) not in _CONTEXTS:
            context = _accepted(context)
        state = self._assembly.client.all_flags(
            context,
            client_side_only=bool(kwargs.get("client_side_only", False)),
            with_reasons=bool(kwargs.get("with_reasons", False)),
            details_only_for_tracked_flags=bool(
                kwargs.get("details_only_for_tracked_flags", False)
            ),
        )
        return FeatureFlagsState._of(state)

    def secure_mode_hash(self, context: core.Context) -> str:
        """Return the hash that shows a client-side SDK's server that this context is allowed.

        An invalid context gives `""`.
        """
        if type(context) not in _CONTEXTS:
            context = _accepted(context)
        if not isinstance(context, core.Context) or not context.valid:
            log.warning("secure_mode_hash was asked for an invalid context: %s", _why(context))
            return ""
        name = context.fully_qualified_key.encode("utf-8", "surrogatepass")
        return hmac.new(self._config.sdk_key.encode(), name, hashlib.sha256).hexdigest()

    # --- status and listeners ------------------------------------------------------------------

    @property
    def flag_tracker(self) -> FlagTracker:
        """Tells when flags change."""
        return self._flag_changes

    @property
    def data_source_status_provider(self) -> DataSourceStatusProvider:
        """Tells how the source of data is doing."""
        return self._source_statuses

    @property
    def data_store_status_provider(self) -> DataStoreStatusProvider:
        """Tells how the feature store is doing."""
        return self._store_statuses

    @property
    def big_segment_store_status_provider(self) -> BigSegmentStoreStatusProvider:
        """Tells how the Big Segment store is doing: in this release there never is one."""
        return NoBigSegments()

    # --- not part of this release --------------------------------------------------------------

    def track(
        self, event_name: str, context: core.Context, data: Any = None, metric_value: Any = None
    ) -> None:
        """Send an event of the application. Without `send_events` it does nothing."""
        del event_name, context, data, metric_value
        _unbuilt.method_needs_events(self._config, "LDClient.track")

    def track_migration_op(self, tracker: Any) -> None:
        """Send what a migration has measured. Without `send_events` it does nothing."""
        del tracker
        _unbuilt.method_needs_events(self._config, "LDClient.track_migration_op")

    def identify(self, context: core.Context) -> None:
        """Send what is known of a context. Without `send_events` it does nothing."""
        del context
        _unbuilt.method_needs_events(self._config, "LDClient.identify")

    def flush(self) -> None:
        """Deliver waiting events soon. Without `send_events` it does nothing."""
        _unbuilt.method_needs_events(self._config, "LDClient.flush")

    def migration_variation(self, key: str, context: core.Context, default_stage: Any) -> Never:
        """Return the stage of a migration and what measures it."""
        del key, context, default_stage
        raise NotBuiltYet("LDClient.migration_variation")

    def add_hook(self, hook: Hook) -> None:
        """Run a hook before and after evaluations from now on; anything else is ignored."""
        if isinstance(hook, Hook):
            raise NotBuiltYet("LDClient.add_hook")


def _accepted(context: Any) -> Any:
    """Return a context; legacy users, which are dicts, become one."""
    if isinstance(context, core.Context) or not isinstance(context, Mapping):
        return context
    message = "a dict as context is deprecated: use Context.from_dict or Context.builder"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return Context.from_dict(context) if "kind" in context else Context.from_user(context)


def _why(context: Any) -> str:
    error = context.error if isinstance(context, core.Context) else None
    return error or f"{type(context).__name__} is not a Context"
