"""One evaluation from end to end: the order of checks, and what must be fetched on the way.

Nothing here raises. Source: evaluation spec, sections 1 and 4.
"""

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from flagkeep._sync.data_system import DataSystem
from flagkeep._sync.reading import ItemReading
from flagkeep._runtime import threads as runtime
from flagkeep._runtime import fork
from flagkeep.config import Config
from flagkeep.errors import StoreError
from flagkeep.evaluation.catalog import Catalog
from flagkeep.evaluation.evaluator import CompiledFlag
from flagkeep.evaluation.flags_state import FlagsState, evaluate_all
from flagkeep.evaluation.inputs import InputMissing, Membership
from flagkeep.evaluation.result import FAILED, Result
from flagkeep.model.context import Context
from flagkeep.model.detail import Detail, ErrorKind, error_reason
from flagkeep.model.json_types import TypeReader

if TYPE_CHECKING:  # not every client has them
    from flagkeep._sync.big_segments import BigSegments
    from flagkeep._sync.event_processor import EventProcessor

log = logging.getLogger("flagkeep.client")


class Outcome(NamedTuple):
    """What an evaluation came to.

    Attributes:
        flag: None if there is none, or nothing is known of it.
        is_recorded: whether it makes an analytics event.
    """

    flag: CompiledFlag | None
    result: Result
    is_recorded: bool = True


class Evaluated(NamedTuple):
    """An answer, and the flag that gave it."""

    flag: CompiledFlag | None
    detail: Detail[Any]


class Evaluations:
    """Evaluates flags of one client.

    Attributes:
        events: where evaluations are recorded; None: nowhere.
        is_over: set by the owner: whether the client was closed and nothing begins any more.

    Args:
        deadline: seconds that all reads of one evaluation may take together.
        big_segments: None if the client has no store of them.
    """

    def __init__(
        self,
        config: Config,
        data: DataSystem,
        *,
        deadline: float,
        events: "EventProcessor | None",
        big_segments: "BigSegments | None",
    ) -> None:
        self._config = config
        self._data = data
        self._deadline = deadline
        self._big_segments = big_segments
        self._has_warned = False
        self.events = events
        self.is_over = False

    def evaluate(
        self,
        key: str,
        context: Context,
        default: Any,
        *,
        read: TypeReader | None = None,
        with_reason: bool = True,
    ) -> Evaluated:
        """Return the value of a flag.

        Args:
            read: says whether a value is of the type that the caller wants, and converts it.
            with_reason: whether the caller gets the reason, which full events then have, too.
        """
        try:
            fork.settle()
            default = self._default(key, default)
            outcome = self._outcome(key, context)
        except StoreError as exc:
            log.debug("flag %r could not be read: %s", key, exc)
            outcome = Outcome(None, FAILED)
        except Exception:
            log.exception("flag %r could not be evaluated", key)
            outcome = Outcome(None, FAILED)
        flag, result, _ = outcome
        value = default if result.index is None else result.value
        if read is not None and result.index is not None:
            is_right, value = read(value)
            if not is_right:
                value, result = default, _wrong_type(result)
        if self.events is not None and outcome.is_recorded:
            self.events.evaluated(
                key, flag, result, context, default=default, value=value, with_reason=with_reason
            )
        detail = Detail(value, result.index, result.reason, self._data.data_age())
        return Evaluated(flag, detail)

    def all_flags(
        self,
        context: Context,
        *,
        client_side_only: bool,
        with_reasons: bool,
        details_only_for_tracked_flags: bool,
    ) -> FlagsState:
        """Return the values of all flags; it leaves no events."""
        try:
            fork.settle()
            catalog = self._whole_catalog()
            if catalog is None or not is_valid(context):
                return FlagsState(valid=False)
            flags = catalog.live_flags()
            if client_side_only:
                flags = tuple(flag for flag in flags if flag.facts.is_client_side)
            return FlagsState(
                self._all_of(flags, context, catalog),
                with_reasons=with_reasons,
                details_only_for_tracked_flags=details_only_for_tracked_flags,
                now_ms=runtime.wall_time() * 1000,
            )
        except Exception:
            log.exception("all flags could not be evaluated")
            return FlagsState(valid=False)

    # --- inside --------------------------------------------------------------------------------

    def _outcome(self, key: str, context: Context) -> Outcome:
        """Evaluate, bringing in what is missing; the order of checks is the specification's."""
        if self._config.offline:
            return _failed(ErrorKind.CLIENT_NOT_READY, is_recorded=False)
        deadline = runtime.monotonic() + self._deadline
        self._begin(deadline)
        if not self._data.is_ready:
            self._data.look_for_data(max(0.001, deadline - runtime.monotonic()))
        if not is_valid(context):
            log.warning("flag %r: not evaluated, %s", key, problem_of(context))
            is_ready = self._data.is_ready
            kind = ErrorKind.USER_NOT_SPECIFIED if is_ready else ErrorKind.CLIENT_NOT_READY
            return _failed(kind, is_recorded=False)
        if not self._data.is_ready:
            if not self._has_warned:
                self._has_warned = True
                log.warning("the client has no flag data yet: evaluations answer the default")
            return _failed(ErrorKind.CLIENT_NOT_READY)
        if not isinstance(key, str):
            return _failed(ErrorKind.FLAG_NOT_FOUND, is_recorded=False)
        reading = self._data.new_reading()
        if reading is not None:
            reading.begin(key, deadline)
        return self._with_what_is_missing(key, context, reading, deadline)

    def _with_what_is_missing(
        self, key: str, context: Context, reading: ItemReading | None, deadline: float
    ) -> Outcome:
        known: dict[str, Membership] = {}
        while True:
            catalog = self._data.catalog if reading is None else reading.catalog
            if self._big_segments is not None:
                catalog = catalog.viewed(known)
            try:
                flag = catalog.flag(key)
                if flag is None:
                    return _failed(ErrorKind.FLAG_NOT_FOUND)
                return _evaluated(flag, context, catalog)
            except InputMissing as exc:
                missing = exc
            if missing.items and reading is not None:
                reading.fetch(missing.items, deadline)
            elif missing.memberships and self._big_segments is not None:
                known |= self._big_segments.memberships(missing.memberships, deadline)
            else:
                raise missing

    def _all_of(
        self, flags: tuple[CompiledFlag, ...], context: Context, catalog: Catalog
    ) -> list[tuple[CompiledFlag, Result]]:
        known: dict[str, Membership] = {}
        deadline = runtime.monotonic() + self._deadline
        while self._big_segments is not None:
            try:
                return evaluate_all(flags, context, catalog.viewed(known))
            except InputMissing as exc:
                missing = exc.memberships
            known |= self._big_segments.memberships(missing, deadline)
        return evaluate_all(flags, context, catalog)

    def _begin(self, deadline: float) -> None:
        if not self.is_over:
            self._data.start()
            self._data.pump(deadline)

    def _whole_catalog(self) -> Catalog | None:
        if self._config.offline:
            return None
        self._begin(runtime.monotonic() + self._deadline)
        catalog = self._data.whole_catalog(self._deadline)
        return catalog if self._data.is_ready and catalog.complete else None

    def _default(self, key: str, default: Any) -> Any:
        defaults = self._config.defaults
        return defaults.get(key, default) if defaults and isinstance(key, str) else default


def is_valid(context: object) -> bool:
    """Whether it is a context that can be evaluated."""
    return isinstance(context, Context) and context.valid


def problem_of(context: object) -> str:
    """Return what is wrong with a context, without anything it says of a person."""
    if isinstance(context, Context):
        return f"its context is invalid: {context.error}"
    return f"its context must be a flagkeep.Context, not {type(context).__name__}"


def _evaluated(flag: CompiledFlag, context: Context, catalog: Catalog) -> Outcome:
    try:
        return Outcome(flag, flag.evaluate(context, catalog))
    except InputMissing:
        raise
    except Exception:
        log.exception("flag %r could not be evaluated", flag.facts.key)
        return Outcome(flag, FAILED)


def _failed(kind: ErrorKind, *, is_recorded: bool = True) -> Outcome:
    return Outcome(None, Result(None, None, error_reason(kind)), is_recorded)


def _wrong_type(result: Result) -> Result:
    return Result(
        None,
        None,
        error_reason(ErrorKind.WRONG_TYPE),
        prerequisites=result.prerequisites,
        direct_prerequisites=result.direct_prerequisites,
    )
