"""`AsyncLDClient`, the asyncio client of the official SDK, over the core's `AsyncClient`.

This module needs no asyncio until a client is made; `_aio` does.
"""

import logging
from types import TracebackType
from typing import Any, Final, Self

from flagkeep.errors import ConfigError
from flagkeep.ldclient._accepted import accepted
from flagkeep.ldclient._assembly_base import missing_key
from flagkeep.ldclient._hooks import Plugins, official_hooks
from flagkeep.ldclient._statuses import (
    AsyncBigSegmentStatuses,
    AsyncFlagChanges,
    StoreStatuses,
    source_statuses,
)
from flagkeep.ldclient.async_config import AsyncConfig
from flagkeep.ldclient.context import Context
from flagkeep.ldclient.evaluation import EvaluationDetail, FeatureFlagsState
from flagkeep.ldclient.hook import AsyncHook, Hook
from flagkeep.ldclient.interfaces import (
    AsyncBigSegmentStoreStatusProvider,
    AsyncFlagTracker,
    DataSourceStatusProvider,
    DataStoreStatusProvider,
)
from flagkeep.ldclient.migrations.tracker import OpTracker
from flagkeep.ldclient.migrations.types import Stage
from flagkeep.model import context as core

__all__ = ["AsyncConfig", "AsyncLDClient"]

log = logging.getLogger("ldclient.util")

LONG_WAIT: Final = 60
CLOSE_WITHIN: Final = 5.0
SDK_NAME: Final = "python-server-sdk-async"
_CONTEXTS: Final = (Context, core.Context)  # looked up in this order, at every evaluation
_HOOKS: Final = (Hook, AsyncHook)


class AsyncLDClient:
    """Evaluates feature flags in asyncio. Making one starts nothing: `start` does.

    ```python
    async with AsyncLDClient(AsyncConfig("sdk-key")) as client:
        await client.variation("new-checkout", Context.create("amal"), False)
    ```

    Args:
        config: the settings.

    Raises:
        ConfigError: the settings cannot work.
    """

    def __init__(self, config: AsyncConfig) -> None:
        if not isinstance(config, AsyncConfig):
            raise ConfigError(
                "AsyncLDClient takes an AsyncConfig, such as AsyncConfig('sdk-key'), not"
                f" {type(config).__name__}"
            )
        # it needs asyncio, which a program without it need not load
        from flagkeep.ldclient._aio.assembly import AsyncAssembly  # noqa: PLC0415

        self._config = config
        self._is_started = False
        self._plugins = Plugins(config, SDK_NAME)
        hooks = (*official_hooks(config.hooks, _HOOKS), *self._plugins.hooks(_HOOKS))
        self._assembly: AsyncAssembly = AsyncAssembly(config, hooks)
        client = self._assembly.client
        self._variation = client.variation  # bound once: every evaluation goes through it
        self._detail = client.variation_detail
        self._source_statuses = source_statuses(config, client, is_fed=self._assembly.has_source)
        self._store_statuses = StoreStatuses(
            client,
            has_store=self._assembly.has_store,
            is_monitored=self._assembly.is_store_monitored,
        )
        self._big_segment_statuses = AsyncBigSegmentStatuses(
            client, has_store=self._assembly.has_big_segments
        )
        self._flag_changes = AsyncFlagChanges(client, accepted)

    # --- life ----------------------------------------------------------------------------------

    async def start(self, start_wait: float = 5.0) -> None:
        """Register the plugins, begin, and wait for data. Later calls do nothing.

        Args:
            start_wait: how many seconds to wait at most. The client goes on trying.

        Raises:
            ConfigError: `start_wait` is no number.
            Exception: whatever the application's `update_processor_class` raises. The client is
                closed then, and also if the call is cancelled.
        """
        if not isinstance(start_wait, int | float):
            raise ConfigError(f"start_wait must be a number of seconds, not {start_wait!r}")
        if self._is_started:
            return
        self._is_started = True
        if start_wait > LONG_WAIT:
            log.warning("start_wait is %s seconds: the program may wait that long", start_wait)
        problem = missing_key(self._config)
        if problem is not None:
            log.warning("%s", problem)
        try:
            await self._plugins.register_async(self)
            await self._assembly.start(start_wait)
        except BaseException:
            await self.close()
            raise
        has_source = self._assembly.has_source
        if has_source and start_wait > 0 and not await self.is_initialized():
            log.warning("no flag data within %s s; the client goes on trying", start_wait)

    async def close(self) -> None:
        """Deliver what waits and end the background work. Evaluations go on from memory."""
        self._is_started = True  # there is nothing to start any more
        report = await self._assembly.client.aclose(CLOSE_WITHIN)
        self._assembly.note_end(report.events_lost)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def get_sdk_key(self) -> str:
        """Return the SDK key."""
        return self._config.sdk_key

    def is_offline(self) -> bool:
        """Whether the client asks nobody and every evaluation gives its default."""
        return self._config.offline

    async def is_initialized(self) -> bool:
        """Return whether evaluations use real data; offline and with `use_ldd` always."""
        if self._config.offline or self._config.use_ldd:
            return True
        return await self._assembly.has_data()

    # --- evaluation ----------------------------------------------------------------------------

    async def variation(self, key: str, context: core.Context, default: Any) -> Any:
        """Return the value of a flag for a context.

        Args:
            key: of the flag.
            context: what it is evaluated for.
            default: returned where there is no value: no such flag, no data, invalid context, a
                flag that is off and says nothing else, or any failure.
        """
        if type(context) not in _CONTEXTS:
            context = accepted(context)
        return await self._variation(key, context, default)

    async def variation_detail(
        self, key: str, context: core.Context, default: Any
    ) -> EvaluationDetail:
        """Return the value of a flag with its index and the reason."""
        if type(context) not in _CONTEXTS:
            context = accepted(context)
        detail = await self._detail(key, context, default)
        return EvaluationDetail(detail.value, detail.index, detail.reason.to_dict())

    async def migration_variation(
        self, key: str, context: core.Context, default_stage: Stage
    ) -> tuple[Stage, OpTracker]:
        """Return how far a migration has come, and what measures it.

        Args:
            key: of a migration flag.
            context: what it is evaluated for.
            default_stage: where the flag has no value, or one that is no stage. What is no stage
                itself counts as `Stage.OFF`.
        """
        client = self._assembly.client
        stage, tracker = await client.migration(key, accepted(context), default_stage)
        return stage, OpTracker._of(tracker)

    async def all_flags_state(self, context: core.Context, **kwargs: Any) -> FeatureFlagsState:
        """Return the values of all flags for a context; options as for `LDClient`."""
        state = await self._assembly.client.all_flags(
            accepted(context),
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
        return self._assembly.client.secure_mode_hash(accepted(context))

    def add_hook(self, hook: AsyncHook | Hook) -> None:
        """Run a hook before and after evaluations from now on; anything else is ignored."""
        for one in official_hooks((hook,), _HOOKS):
            self._assembly.client.add_hook(one)

    # --- events --------------------------------------------------------------------------------

    def track(
        self,
        event_name: str,
        context: core.Context,
        data: Any = None,
        metric_value: float | None = None,
    ) -> None:
        """Record an event of the application; as `LDClient.track`."""
        self._assembly.client.track(event_name, accepted(context), data, metric_value)

    def identify(self, context: core.Context) -> None:
        """Record who a context is; an invalid one gives a warning and no event."""
        self._assembly.client.identify(accepted(context))

    def track_migration_op(self, tracker: OpTracker) -> None:
        """Record what was measured by the tracker that `migration_variation` returned."""
        self._assembly.client.track_migration(tracker._core)

    async def flush(self) -> None:
        """Deliver waiting events soon; returns at once."""
        self._assembly.client.flush_soon()

    async def flush_and_wait(self, timeout: float) -> bool:
        """Deliver waiting events; return whether that was done within `timeout` seconds."""
        return await self._assembly.client.flush(timeout)

    # --- status and listeners ------------------------------------------------------------------

    @property
    def flag_tracker(self) -> AsyncFlagTracker:
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
    def big_segment_store_status_provider(self) -> AsyncBigSegmentStoreStatusProvider:
        """Tells how the Big Segment store is doing; without one, that it is not available."""
        return self._big_segment_statuses
