"""The client: flag values from memory, whatever happens around it.

`variation` first takes the short way: a flag that is compiled, a context that is valid, a value
that is there. Whatever is not so simple goes through `evaluations`, which alone knows the order of
checks. Neither ever raises.
"""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from flagkeep._sync.data_system import DataSystem, MakeSource
from flagkeep._sync.evaluations import Evaluations, Evaluated, is_valid, problem_of
from flagkeep._sync.hook_runner import HookRunner, hooks_of_plugins, register_plugins
from flagkeep._sync.interfaces import BigSegmentStore, FeatureStore
from flagkeep._sync.sources import maker_of_source
from flagkeep._sync.typed_variations import TypedVariations
from flagkeep._runtime import threads as runtime
from flagkeep._runtime import fork
from flagkeep._runtime.fork import MARK
from flagkeep.config import Config, Polling, StorePolicy, Streaming
from flagkeep.errors import ConfigError
from flagkeep.evaluation.catalog import EMPTY, Catalog
from flagkeep.evaluation.flags_state import FlagsState
from flagkeep.evaluation.inputs import Membership
from flagkeep.hooks import (
    ApplicationMetadata,
    ChangeListener,
    EnvironmentMetadata,
    EvaluationSeries,
    Hook,
    SdkMetadata,
    StatusListener,
    TrackSeries,
    ValueChangeListener,
)
from flagkeep.model.context import Context
from flagkeep.model.detail import Detail
from flagkeep.model.json_types import TypeReader, read_stage
from flagkeep.model.migration import Stage
from flagkeep.model.status import ClientStatus, CloseReport
from flagkeep.storage.big_segments import UNAVAILABLE, BigSegmentStoreStatus
from flagkeep.version import VERSION

if TYPE_CHECKING:  # who only reads a store starts faster without them
    from flagkeep._sync.big_segments import BigSegments
    from flagkeep._sync.event_processor import EventProcessor
    from flagkeep._sync.upstream import Upstream
    from flagkeep.events.migration_op import MigrationTracker

log = logging.getLogger("flagkeep.client")
T = TypeVar("T")


class Client(TypedVariations):
    """Evaluates feature flags. Safe to use from anywhere, and meant to live as long as the program.

    The constructor checks the settings and starts the work in the background; it never waits.

    Args:
        config: the settings; may be shared between clients.
        store: a persistent store, such as one of `flagkeep.stores`. The client closes it.
        big_segment_store: where Big Segments are looked up. The client closes it, too.

    Attributes:
        instance_id: what the upstream knows this client by; another one in the child of a fork.

    Raises:
        ConfigError: the settings cannot work.
    """

    def __init__(
        self,
        config: Config,
        *,
        store: FeatureStore | None = None,
        big_segment_store: BigSegmentStore | None = None,
    ) -> None:
        if not isinstance(config, Config):
            problem = f"expected a flagkeep.Config, not {type(config).__name__}"
            raise ConfigError(problem)
        if config.daemon and store is None:
            raise ConfigError("daemon=True reads a store: hand one in with store=…")
        self._config = config
        policy = config.store_policy or StorePolicy.from_environment()
        self._deadline = policy.deadline
        self._catalog = EMPTY  # the short way: stays empty where it must not be taken
        environment = _described(config)
        brought = hooks_of_plugins(config.plugins, environment)
        self._hooks = HookRunner((*config.hooks, *brought))
        self._close_guard = runtime.Guard()
        self._report: CloseReport | None = None
        self._closed = runtime.Event()  # once `close` has come to its end, whichever that is
        self._closer: object = None
        self._upstream = self._new_upstream()
        self._big_segments: BigSegments | None = None
        self._data = DataSystem(
            config,
            policy,
            make_source=self._source_maker(),
            store=None if config.offline else store,
            publish=self._take,
        )
        if big_segment_store is not None and not config.offline:
            self._big_segments = self._new_big_segments(big_segment_store, policy)
            self._data.listeners.memberships = self._look_up
        self._events = self._new_events(None if store is None else store.name)
        self._count = None if self._events is None else self._events.count
        self._evaluations = Evaluations(
            config,
            self._data,
            deadline=policy.deadline,
            events=self._events,
            big_segments=self._big_segments,
        )
        self._data.began = self._begin_rest
        self._data.abandoned = self._forget_workers
        register_plugins(config.plugins, self, environment)
        fork.watch(self, fork.Rank.CLIENT)
        if runtime.can_spawn():
            self._start()

    # --- life ----------------------------------------------------------------------------------

    def wait_until_ready(self, timeout: float = 5.0) -> bool:
        """Wait for flag data, at most `timeout` seconds.

        Returns:
            Whether evaluations use real data; in daemon mode, whether the store was read. Waiting
            is never needed: an evaluation that finds nothing in memory reads the store itself,
            or answers the default.
        """
        fork.settle()
        if self._config.offline or self._report is not None:
            return self.is_ready
        return self._data.wait_until_ready(timeout)

    @property
    def is_ready(self) -> bool:
        """Whether evaluations use real data; in daemon mode always."""
        return not self._config.offline and self._data.is_ready

    def close(self, timeout: float = 5.0) -> CloseReport:
        """Deliver the events that wait, end the background work and close the stores.

        It takes `timeout` seconds at most. Evaluations go on answering from memory. Calling it
        again returns the same report; while it is under way, once that is known.
        """
        fork.settle()
        give_up = runtime.monotonic() + timeout
        with self._close_guard:
            is_first = self._report is None
            if is_first:
                self._report = CloseReport(complete=False)
                self._closer = runtime.here()
                self._closed.clear()
        if is_first:
            return self._close(timeout)
        if self._closer is not runtime.here():  # a signal handler holds up what it interrupts
            self._closed.wait(timeout)
        return self._report or self.close(max(0.0, give_up - runtime.monotonic()))

    def _close(self, timeout: float) -> CloseReport:
        try:
            self._report = report = self._end(timeout)
        except BaseException:
            self._report = None  # was cancelled: to be called again
            raise
        finally:
            self._closed.set()
        return report

    def _end(self, timeout: float) -> CloseReport:
        give_up = runtime.monotonic() + timeout
        self._evaluations.is_over = True
        self._data.stop_source()
        lost: dict[str, int] = {}
        if self._events is not None:
            lost = self._events.stop(timeout)
            self._count = self._evaluations.events = self._events = None
            self._take(self._data.catalog)
        if self._big_segments is not None:
            self._big_segments.stop(max(0.0, give_up - runtime.monotonic()))
        if self._upstream is not None:
            self._upstream.http.close()  # which ends a poll that is under way
        ended = self._data.stop(max(0.0, give_up - runtime.monotonic()))
        return CloseReport(complete=ended and not lost, events_lost=lost)

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- evaluation ----------------------------------------------------------------------------

    def variation(self, key: str, context: Context, default: Any) -> Any:
        """Return the JSON value of a flag for a context.

        Args:
            default: returned where there is no value: no such flag, no data, invalid context,
                a flag that is off and says nothing else, or any failure.
        """
        try:
            if MARK[0] and context.valid:
                catalog = self._catalog
                flag = catalog.flags[key]
                result = flag.evaluate(context, catalog)
                if result.index is not None:
                    count = self._count
                    if count is not None:
                        count(flag, result, context, default)
                    return result.value
        except Exception:  # noqa: BLE001, S110  the long way finds out what it was
            pass
        return (self._evaluate(key, context, default, "variation", None)).value

    def variation_detail(
        self,
        key: str,
        context: Context,
        default: Any,
    ) -> Detail[Any]:
        """Return the value with its index, reason and age."""
        return self._evaluate(key, context, default, "variation_detail", None)

    def all_flags(
        self,
        context: Context,
        *,
        client_side_only: bool = False,
        with_reasons: bool = False,
        details_only_for_tracked_flags: bool = False,
    ) -> FlagsState:
        """Return the values of all flags for a context.

        Args:
            client_side_only: only flags that JavaScript SDKs may see.
            with_reasons: also say why each has its value.
            details_only_for_tracked_flags: leave out what nobody needs who sends no events.
        """
        return self._evaluations.all_flags(
            context,
            client_side_only=client_side_only,
            with_reasons=with_reasons,
            details_only_for_tracked_flags=details_only_for_tracked_flags,
        )

    def migration(
        self, key: str, context: Context, default_stage: Stage
    ) -> "tuple[Stage, MigrationTracker]":
        """Return how far a migration has come, and what measures it.

        Args:
            key: of a migration flag.
            context: what it is evaluated for.
            default_stage: where the flag has no value, or one that is no stage.
        """
        default = default_stage if isinstance(default_stage, Stage) else Stage.OFF
        flag, detail = self._hooked(
            key, context, default.value, "migration_variation", read_stage
        )
        stage = Stage(detail.value)
        from flagkeep.events.migration_op import MigrationTracker  # noqa: PLC0415

        facts = None if flag is None else flag.facts
        tracker = MigrationTracker(
            key,
            context,
            default=default,
            detail=detail,
            version=None if facts is None else facts.version,
            sampling_ratio=1 if facts is None else facts.sampling_ratio,
            check_ratio=1 if facts is None or facts.check_ratio is None else facts.check_ratio,
            draw=runtime.draw,
        )
        return stage, tracker

    # --- events --------------------------------------------------------------------------------

    def track(
        self, name: str, context: Context, data: Any = None, metric_value: float | None = None
    ) -> None:
        """Record an event of the application, such as a purchase.

        Args:
            name: of the event.
            context: who did it.
            data: any JSON.
            metric_value: a number for metrics that need one.
        """
        self._go_on()
        if not is_valid(context):
            log.warning("an event was not recorded, %s", problem_of(context))
            return
        if self._events is not None:
            self._events.track(name, context, data, metric_value)
        if self._hooks.any:
            self._hooks.after_track(
                TrackSeries(name, context, data, metric_value, self.environment_id)
            )

    def identify(self, context: Context) -> None:
        """Record who a context is."""
        self._go_on()
        if not is_valid(context):
            log.warning("a context was not recorded, %s", problem_of(context))
        elif self._events is not None:
            self._events.identify(context)

    def track_migration(self, tracker: "MigrationTracker") -> None:
        """Record what was measured by the tracker that `migration` returned."""
        self._go_on()
        if self._events is not None:
            self._events.track_migration(tracker)

    def flush(self, timeout: float = 5.0) -> bool:
        """Deliver what waits, within `timeout` seconds; returns whether it was delivered."""
        self._go_on()
        return self._events is None or self._events.sender.flush(timeout)

    def flush_soon(self) -> None:
        """Deliver what waits without waiting for it."""
        self._go_on()
        if self._events is not None:
            self._events.sender.flush_soon()

    def secure_mode_hash(self, context: Context) -> str:
        """Return the hash by which the upstream knows that a browser may evaluate for a context.

        An invalid context gives `""`.
        """
        if not is_valid(context):
            log.warning("no secure-mode hash, %s", problem_of(context))
            return ""
        import hmac  # noqa: PLC0415  few programs need it, and OpenSSL costs 3 ms

        name = context.fully_qualified_key.encode("utf-8", "surrogatepass")
        return hmac.new(self._config.sdk_key.encode(), name, "sha256").hexdigest()

    def add_hook(self, hook: Hook) -> None:
        """Run a hook around every evaluation from now on, inside of those that are there."""
        self._hooks.add(hook)
        self._take(self._data.catalog)

    # --- status and listeners ------------------------------------------------------------------

    @property
    def status(self) -> ClientStatus:
        """Everything that is known of the health of source, store and data."""
        fork.settle()
        return self._data.status()

    def on_change(self, flag: str | None, listener: ChangeListener) -> Callable[[], None]:
        """Call `listener(FlagChange)` whenever a flag, or what it depends on, changes.

        Args:
            flag: its key; None for every flag.

        Returns:
            A function that ends it.
        """
        fork.settle()
        return self._data.listeners.on_change(flag, listener)

    def on_value_change(
        self, flag: str, context: Context, listener: ValueChangeListener
    ) -> Callable[[], None]:
        """Call `listener(FlagValueChange)` whenever a flag's value for `context` changes.

        Returns:
            A function that ends it.
        """
        fork.settle()
        catalog = self._data.catalog
        return self._data.listeners.on_value_change(flag, context, listener, catalog)

    def on_source_status(self, listener: StatusListener) -> Callable[[], None]:
        """Call `listener(SourceStatus)` with each new status of the source."""
        return self._data.source_listeners.add(listener)

    def on_store_status(self, listener: StatusListener) -> Callable[[], None]:
        """Call `listener(StoreStatus)` with each new status of the store.

        Raises:
            ConfigError: this client has no store.
        """
        if self._data.health is None:
            raise ConfigError("this client has no store whose status could change")
        return self._data.health.listeners.add(listener)

    def on_big_segment_status(self, listener: StatusListener) -> Callable[[], None]:
        """Call `listener(BigSegmentStoreStatus)` with each new status of the Big Segment store.

        Raises:
            ConfigError: this client has no such store.
        """
        if self._big_segments is None:
            raise ConfigError("this client has no Big Segment store whose status could change")
        return self._big_segments.listeners.add(listener)

    def big_segment_status(self) -> BigSegmentStoreStatus:
        """Return how the Big Segment store is doing; it is asked if that is not known yet."""
        fork.settle()
        if self._big_segments is None:
            return UNAVAILABLE
        return self._big_segments.status()

    @property
    def environment_id(self) -> str | None:
        """What the upstream calls the environment; None until it has said so."""
        return None if self._upstream is None else self._upstream.news.environment_id

    @property
    def instance_id(self) -> str:
        """What the upstream knows this client by; another one in the child of a fork.

        `""` where the client asks nobody.
        """
        fork.settle()
        return "" if self._upstream is None else self._upstream.requester.instance_id

    # --- inside --------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Begin anew in the child of a fork; called by itself. Memory and listeners stay."""
        was_started = self._data.forget_parent()
        self._forget_workers()
        self._closed.set()  # whoever closes the parent's client closes no other
        if was_started and runtime.can_spawn_in_hook():
            self._start()

    def _forget_workers(self) -> None:
        if self._big_segments is not None:
            self._big_segments.forget_parent()
        if self._events is not None:
            self._events.forget_parent()

    def _go_on(self) -> None:
        """Begin if that has not happened yet, as in the child of a fork, and can happen here."""
        fork.settle()
        if runtime.can_spawn():
            self._start()

    def _start(self) -> None:
        if not self._config.offline and self._report is None:
            self._data.start()

    def _new_upstream(self) -> "Upstream | None":
        connects = isinstance(self._config.source, Streaming | Polling | None)
        if self._config.offline or not (connects or self._config.makes_events):
            return None
        if self._config.daemon and not self._config.makes_events:
            return None
        from flagkeep._sync.upstream import Upstream  # noqa: PLC0415

        return Upstream(self._config)

    def _new_big_segments(
        self, store: BigSegmentStore, policy: StorePolicy
    ) -> "BigSegments":
        from flagkeep._sync.big_segments import BigSegments  # noqa: PLC0415

        return BigSegments(
            store,
            self._config.big_segments,
            self._data.work,
            patience=policy.deadline,
            max_age=policy.max_age,
        )

    def _source_maker(self) -> MakeSource | None:
        """Return what makes the source; a face may put something in between."""
        return maker_of_source(self._config, self._upstream)

    def _new_events(self, store: str | None) -> "EventProcessor | None":
        """Return what records events, if anything does; a face may have its own."""
        if self._upstream is None or not self._config.makes_events:
            return None
        from flagkeep._sync.event_processor import EventProcessor  # noqa: PLC0415

        return EventProcessor(self._config, self._upstream, self._data.work, store=store)

    def _begin_rest(self) -> None:
        if self._events is not None:
            self._events.start()
        if self._big_segments is not None:
            self._big_segments.start()

    def _look_up(self, keys: tuple[str, ...]) -> dict[str, Membership]:
        if self._big_segments is None:
            return {}
        return self._big_segments.memberships(keys, runtime.monotonic() + self._deadline)

    def _take(self, catalog: Catalog) -> None:
        """Let the short way use a new state, where it may be used at all."""
        if self._hooks.any or self._data.needs_long_way:
            catalog = EMPTY
        elif self._big_segments is not None:
            catalog = catalog.viewed(self._big_segments.remembered)
        self._catalog = catalog

    def _evaluate(
        self, key: str, context: Context, default: T, method: str, read: TypeReader | None
    ) -> Detail[T]:
        return (self._hooked(key, context, default, method, read)).detail

    def _hooked(
        self, key: str, context: Context, default: Any, method: str, read: TypeReader | None
    ) -> Evaluated:
        with_reason = method.endswith("_detail")
        found: Evaluated | None = None

        def evaluate() -> Detail[Any]:
            nonlocal found
            found = self._evaluations.evaluate(
                key, context, default, read=read, with_reason=with_reason
            )
            return found.detail

        if self._hooks.any:
            series = EvaluationSeries(key, context, default, method, self.environment_id)
            detail = self._hooks.around(series, evaluate)
        else:
            detail = evaluate()
        return found or Evaluated(None, detail)


def _described(config: Config) -> EnvironmentMetadata:
    """Return what plugins may know of a client."""
    application, wrapper = config.application, config.wrapper
    return EnvironmentMetadata(
        sdk=SdkMetadata(runtime.SDK_NAME, VERSION, wrapper.name, wrapper.version),
        sdk_key=config.sdk_key,
        application=ApplicationMetadata(application.id, application.version),
    )
