"""`LDClient`, the client of the official SDK, over the core's `Client`.

How a configuration becomes a client of the core (what reads and writes what) is `_assembly`'s
business. This module is the list of methods.
"""

import logging
from types import TracebackType
from typing import Any, Final, Self

from flagkeep._runtime import fork
from flagkeep.errors import ConfigError
from flagkeep.ldclient._accepted import accepted
from flagkeep.ldclient._assembly import Assembly
from flagkeep.ldclient._assembly_base import missing_key
from flagkeep.ldclient._hooks import Plugins, official_hooks
from flagkeep.ldclient._statuses import (
    BigSegmentStatuses,
    FlagChanges,
    StoreStatuses,
    source_statuses,
)
from flagkeep.ldclient.config import Config
from flagkeep.ldclient.context import Context
from flagkeep.ldclient.evaluation import EvaluationDetail, FeatureFlagsState
from flagkeep.ldclient.hook import Hook
from flagkeep.ldclient.interfaces import (
    BigSegmentStoreStatusProvider,
    DataSourceStatusProvider,
    DataStoreStatusProvider,
    FlagTracker,
)
from flagkeep.ldclient.migrations.tracker import OpTracker
from flagkeep.ldclient.migrations.types import Stage
from flagkeep.model import context as core

__all__ = ["Config", "LDClient"]

log = logging.getLogger("ldclient.util")

LONG_WAIT: Final = 60
SDK_NAME: Final = "python-server-sdk"
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
        problem = missing_key(config)
        if problem is not None:
            log.warning("%s", problem)
        self._assemble(start_wait)

    def _assemble(self, start_wait: float) -> None:
        if not isinstance(start_wait, int | float):
            raise ConfigError(f"start_wait must be a number of seconds, not {start_wait!r}")
        if start_wait > LONG_WAIT:
            log.warning("start_wait is %s seconds: the program may wait that long", start_wait)
        config = self._config
        plugins = Plugins(config, SDK_NAME)
        hooks = (*official_hooks(config.hooks, (Hook,)), *plugins.hooks((Hook,)))
        self._assembly = Assembly(config, hooks)
        client = self._assembly.client
        self._variation = client.variation  # bound once: every evaluation goes through it
        self._detail = client.variation_detail
        self._source_statuses = source_statuses(config, client, is_fed=self._assembly.has_source)
        self._store_statuses = StoreStatuses(
            client,
            has_store=self._assembly.has_store,
            is_monitored=self._assembly.is_store_monitored,
        )
        self._big_segment_statuses = BigSegmentStatuses(
            client, has_store=self._assembly.has_big_segments
        )
        self._flag_changes = FlagChanges(client, accepted)
        plugins.register(self)
        self._assembly.start(start_wait)
        if self._assembly.has_source and start_wait > 0 and not self.is_initialized():
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
        """Deliver what waits and end the background work. Evaluations go on from memory."""
        self._assembly.note_end(self._assembly.client.close().events_lost)

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
            context = accepted(context)
        return self._variation(key, context, default)

    def variation_detail(self, key: str, context: core.Context, default: Any) -> EvaluationDetail:
        """Return the value of a flag with its index and the reason."""
        if type(context) not in _CONTEXTS:
            context = accepted(context)
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
            context = accepted(context)
        state = self._assembly.client.all_flags(
            context,
            client_side_only=bool(kwargs.get("client_side_only", False)),
            with_reasons=bool(kwargs.get("with_reasons", False)),
            details_only_for_tracked_flags=bool(
                kwargs.get("details_only_for_tracked_flags", False)
            ),
        )
        return FeatureFlagsState._of(state)

    def migration_variation(
        self, key: str, context: core.Context, default_stage: Stage
    ) -> tuple[Stage, OpTracker]:
        """Return how far a migration has come, and what measures it.

        Args:
            key: of a migration flag.
            context: what it is evaluated for.
            default_stage: where the flag has no value, or one that is no stage. What is no stage
                itself counts as `Stage.OFF`.
        """
        if type(context) not in _CONTEXTS:
            context = accepted(context)
        stage, tracker = self._assembly.client.migration(key, context, default_stage)
        return stage, OpTracker._of(tracker)

    def secure_mode_hash(self, context: core.Context) -> str:
        """Return the hash that shows a client-side SDK's server that this context is allowed.

        An invalid context gives `""`.
        """
        return self._assembly.client.secure_mode_hash(accepted(context))

    def add_hook(self, hook: Hook) -> None:
        """Run a hook before and after evaluations from now on; anything else is ignored."""
        for one in official_hooks((hook,), (Hook,)):
            self._assembly.client.add_hook(one)

    # --- events --------------------------------------------------------------------------------

    def track(
        self,
        event_name: str,
        context: core.Context,
        data: Any = None,
        metric_value: float | None = None,
    ) -> None:
        """Record an event of the application, such as a purchase.

        Args:
            event_name: what happened.
            context: who did it; an invalid one gives a warning and no event.
            data: any JSON.
            metric_value: a number for metrics that need one.
        """
        self._assembly.client.track(event_name, accepted(context), data, metric_value)

    def identify(self, context: core.Context) -> None:
        """Record who a context is; an invalid one gives a warning and no event."""
        self._assembly.client.identify(accepted(context))

    def track_migration_op(self, tracker: OpTracker) -> None:
        """Record what was measured by the tracker that `migration_variation` returned."""
        self._assembly.client.track_migration(tracker._core)

    def flush(self) -> None:
        """Deliver waiting events soon; returns at once."""
        self._assembly.client.flush_soon()

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
        """Tells how the Big Segment store is doing; without one, that it is not available."""
        return self._big_segment_statuses
