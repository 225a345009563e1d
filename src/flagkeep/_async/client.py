"""The client: flag values from memory, whatever happens around it.

`variation` first takes the short way: a flag that is compiled, a context that is valid, a value
that is there. Whatever is not so simple goes through `_evaluate`, which alone knows the order of
checks (evaluation spec, section 1). Neither ever raises.
"""

import logging
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from flagkeep._async.data_system import AsyncDataSystem, MakeSource
from flagkeep._async.interfaces import AsyncFeatureStore
from flagkeep._runtime import aio as runtime
from flagkeep._runtime import fork
from flagkeep._runtime.fork import MARK
from flagkeep.config import Config, FileSource, StorePolicy
from flagkeep.errors import ConfigError, StoreError
from flagkeep.evaluation.catalog import EMPTY, Catalog
from flagkeep.evaluation.flags_state import FlagsState, evaluate_all
from flagkeep.evaluation.inputs import InputMissing
from flagkeep.evaluation.result import Result
from flagkeep.hooks import ChangeListener, StatusListener, ValueChangeListener
from flagkeep.model.context import Context
from flagkeep.model.detail import Detail, ErrorKind, error_reason
from flagkeep.model.json_types import (
    TypeReader,
    read_bool,
    read_float,
    read_int,
    read_json,
    read_str,
)
from flagkeep.model.status import ClientStatus

log = logging.getLogger("flagkeep.client")
T = TypeVar("T")


class CloseReport(msgspec.Struct, frozen=True):
    """What `close` could and could not do.

    Attributes:
        complete: whether everything ended in time, and everything in memory is in the store.
        events_lost: analytics events that were not delivered, by reason.
    """

    complete: bool
    events_lost: dict[str, int] = {}


class AsyncClient:
    """Evaluates feature flags. Safe to use from anywhere, and meant to live as long as the program.

    The constructor checks the settings and starts the work in the background; it never waits.

    Args:
        config: the settings; may be shared between clients.
        store: a persistent store, such as one of `flagkeep.stores`. The client closes it.

    Raises:
        ConfigError: the settings cannot work.
    """

    def __init__(self, config: Config, *, store: AsyncFeatureStore | None = None) -> None:
        if not isinstance(config, Config):
            problem = f"expected a flagkeep.Config, not {type(config).__name__}"
            raise ConfigError(problem)
        if config.daemon and store is None:
            raise ConfigError("daemon=True reads a store: hand one in with store=…")
        self._config = config
        policy = config.store_policy or StorePolicy.from_environment()
        self._deadline = policy.deadline
        self._catalog = EMPTY  # the short way: stays empty where it must not be taken
        self._has_warned = False
        self._report: CloseReport | None = None
        self._data = AsyncDataSystem(
            config,
            policy,
            make_source=None if config.offline else _maker_of_source(config),
            store=None if config.offline else store,
            publish=self._take,
        )
        if config.source is None and not (config.daemon or config.offline):
            self._announce_no_upstream()
        fork.watch(self, fork.Rank.CLIENT)
        if runtime.can_spawn():
            self._start()

    # --- life ----------------------------------------------------------------------------------

    async def wait_until_ready(self, timeout: float = 5.0) -> bool:
        """Wait for flag data, at most `timeout` seconds.

        Returns:
            Whether evaluations use real data; in daemon mode, whether the store was read. Waiting
            is never needed: an evaluation that finds nothing in memory reads the store itself,
            or answers the default.
        """
        fork.settle()
        if self._config.offline or self._report is not None:
            return self.is_ready
        return await self._data.wait_until_ready(timeout)

    @property
    def is_ready(self) -> bool:
        """Whether evaluations use real data; in daemon mode always."""
        return not self._config.offline and self._data.is_ready

    async def aclose(self, timeout: float = 5.0) -> CloseReport:
        """End the background work and close the store, within `timeout` seconds.

        Evaluations go on answering from memory. Calling it again returns the same report.
        """
        fork.settle()
        if self._report is None:
            self._report = CloseReport(complete=False)
            try:
                self._report = CloseReport(complete=await self._data.stop(timeout))
            except BaseException:
                self._report = None  # was cancelled: to be called again
                raise
        return self._report

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # --- evaluation ----------------------------------------------------------------------------

    async def variation(self, key: str, context: Context, default: Any) -> Any:
        """Return the JSON value of a flag for a context.

        Args:
            default: returned where there is no value: no such flag, no data, invalid context,
                a flag that is off and says nothing else, or any failure.
        """
        try:
            if MARK[0] and context.valid:
                catalog = self._catalog
                result = catalog.flags[key].evaluate(context, catalog)
                if result.index is not None:
                    return result.value
        except Exception:  # noqa: BLE001, S110  the long way finds out what it was
            pass
        return (await self._evaluate(key, context, default)).value

    async def variation_detail(
        self,
        key: str,
        context: Context,
        default: Any,
    ) -> Detail[Any]:
        """Return the value with its index, reason and age."""
        return await self._evaluate(key, context, default)

    async def bool_variation(self, key: str, context: Context, default: bool) -> bool:  # noqa: FBT001
        """Return the value of a boolean flag; of any other type it counts as WRONG_TYPE."""
        return (await self._typed(key, context, default, read_bool)).value

    async def bool_variation_detail(
        self,
        key: str,
        context: Context,
        default: bool,  # noqa: FBT001
    ) -> Detail[bool]:
        """Return the value of a boolean flag with its index, reason and age."""
        return await self._typed(key, context, default, read_bool)

    async def int_variation(self, key: str, context: Context, default: int) -> int:
        """Return the value of a number flag, its fraction cut off."""
        return (await self._typed(key, context, default, read_int)).value

    async def int_variation_detail(self, key: str, context: Context, default: int) -> Detail[int]:
        """Return the value of a number flag, its fraction cut off, with index, reason and age."""
        return await self._typed(key, context, default, read_int)

    async def float_variation(self, key: str, context: Context, default: float) -> float:
        """Return the value of a number flag."""
        return (await self._typed(key, context, default, read_float)).value

    async def float_variation_detail(
        self, key: str, context: Context, default: float
    ) -> Detail[float]:
        """Return the value of a number flag with its index, reason and age."""
        return await self._typed(key, context, default, read_float)

    async def str_variation(self, key: str, context: Context, default: str) -> str:
        """Return the value of a string flag."""
        return (await self._typed(key, context, default, read_str)).value

    async def str_variation_detail(self, key: str, context: Context, default: str) -> Detail[str]:
        """Return the value of a string flag with its index, reason and age."""
        return await self._typed(key, context, default, read_str)

    async def json_variation(self, key: str, context: Context, default: Any) -> Any:
        """Return the value of a flag of any type; lists and objects are the caller's own."""
        return (await self._typed(key, context, default, read_json)).value

    async def json_variation_detail(
        self,
        key: str,
        context: Context,
        default: Any,
    ) -> Detail[Any]:
        """Return the value of a flag of any type with its index, reason and age."""
        return await self._typed(key, context, default, read_json)

    async def all_flags(
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
        try:
            fork.settle()
            catalog = await self._whole_catalog()
            if catalog is None or not _is_valid(context):
                return FlagsState(valid=False)
            flags = catalog.live_flags()
            if client_side_only:
                flags = tuple(flag for flag in flags if flag.facts.is_client_side)
            return FlagsState(
                evaluate_all(flags, context, catalog),
                with_reasons=with_reasons,
                details_only_for_tracked_flags=details_only_for_tracked_flags,
                now_ms=runtime.wall_time() * 1000,
            )
        except Exception:
            log.exception("all flags could not be evaluated")
            return FlagsState(valid=False)

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

    # --- inside --------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Begin anew in the child of a fork; called by itself. Memory and listeners stay."""
        if self._data.forget_parent() and runtime.can_spawn_in_hook():
            self._start()

    def _start(self) -> None:
        if not self._config.offline and self._report is None:
            self._data.start()

    def _announce_no_upstream(self) -> None:
        """Say that something is missing which is on by default; a face may have its own words."""
        log.warning(
            "this release has no upstream connection yet: the client serves what its store"
            " holds; daemon=True says that this is meant"
        )

    def _take(self, catalog: Catalog) -> None:
        """Let the short way use a new state, where it may be used at all."""
        self._catalog = EMPTY if self._data.needs_long_way else catalog

    async def _typed(self, key: str, context: Context, default: T, read: TypeReader) -> Detail[T]:
        detail = await self._evaluate(key, context, default)
        if detail.index is None:
            return detail
        is_right, value = read(detail.value)
        if not is_right:
            value, reason = self._default(key, default), error_reason(ErrorKind.WRONG_TYPE)
            return Detail(value, None, reason, detail.data_age)
        return Detail(value, detail.index, detail.reason, detail.data_age)

    async def _evaluate(self, key: str, context: Context, default: Any) -> Detail[Any]:
        try:
            fork.settle()
            default = self._default(key, default)
            result = await self._result(key, context)
        except StoreError as exc:
            log.debug("flag %r could not be read: %s", key, exc)
            result = _failed(ErrorKind.EXCEPTION)
        except Exception:
            log.exception("flag %r could not be evaluated", key)
            result = _failed(ErrorKind.EXCEPTION)
        value = default if result.index is None else result.value
        return Detail(value, result.index, result.reason, self._data.data_age())

    async def _result(self, key: str, context: Context) -> Result:
        """Evaluate, bringing in what is missing; the order of checks is the specification's."""
        if self._config.offline:
            return _failed(ErrorKind.CLIENT_NOT_READY)
        deadline = runtime.monotonic() + self._deadline
        if self._report is None:
            self._data.start()
            await self._data.pump(deadline)
        if not self._data.is_ready:
            await self._data.look_for_data(max(0.001, deadline - runtime.monotonic()))
        if not self._data.is_ready:
            self._warn_once("the client has no flag data yet: evaluations answer the default")
            return _failed(ErrorKind.CLIENT_NOT_READY)
        if not _is_valid(context):
            log.warning("flag %r: not evaluated, %s", key, _problem_of(context))
            return _failed(ErrorKind.USER_NOT_SPECIFIED)
        if not isinstance(key, str):
            return _failed(ErrorKind.FLAG_NOT_FOUND)
        reading = self._data.new_reading()
        if reading is None:
            return _evaluated(key, context, self._data.catalog)
        await reading.begin(key, deadline)
        while True:
            try:
                return _evaluated(key, context, reading.catalog)
            except InputMissing as missing:
                wanted = missing.items
            await reading.fetch(wanted, deadline)

    async def _whole_catalog(self) -> Catalog | None:
        if self._config.offline:
            return None
        if self._report is None:
            self._data.start()
            await self._data.pump(runtime.monotonic() + self._deadline)
        catalog = await self._data.whole_catalog(self._deadline)
        return catalog if self._data.is_ready and catalog.complete else None

    def _default(self, key: str, default: Any) -> Any:
        defaults = self._config.defaults
        return defaults.get(key, default) if defaults and isinstance(key, str) else default

    def _warn_once(self, message: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning(message)


def _maker_of_source(config: Config) -> MakeSource | None:
    """Return what makes the live source that the settings describe."""
    if config.source is None:
        return None
    if isinstance(config.source, FileSource):
        # here, because readers of a store start faster without what files need
        from flagkeep._async.file_source import AsyncFileDataSource  # noqa: PLC0415

        return partial(AsyncFileDataSource, config.source)
    make: MakeSource | None = getattr(config.source, "async_source", None)
    if make is None:
        problem = "this source makes nothing for this colour of client: it lacks async_source()"
        raise ConfigError(problem)
    return make


def _evaluated(key: str, context: Context, catalog: Catalog) -> Result:
    flag = catalog.flag(key)
    if flag is None:
        return _failed(ErrorKind.FLAG_NOT_FOUND)
    return flag.evaluate(context, catalog)


def _problem_of(context: object) -> str:
    """Return what is wrong with a context, without anything it says of a person."""
    if isinstance(context, Context):
        return f"its context is invalid: {context.error}"
    return f"its context must be a flagkeep.Context, not {type(context).__name__}"


def _is_valid(context: object) -> bool:
    return isinstance(context, Context) and context.valid


def _failed(kind: ErrorKind) -> Result:
    return Result(None, None, error_reason(kind))
