"""Who wants to know when a flag changes, and telling them.

Listeners are foreign code: they run beside the work queue, in the order of the changes, and what
they raise is logged and goes no further. The values for value listeners come straight from the
evaluator, so that they leave no trace in analytics events or hooks.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from flagkeep._async.work import AsyncWork
from flagkeep._runtime import aio as runtime
from flagkeep.evaluation.catalog import Catalog
from flagkeep.evaluation.inputs import InputMissing, Membership
from flagkeep.hooks import (
    ChangeListener,
    FlagChange,
    FlagValueChange,
    StatusListener,
    ValueChangeListener,
)
from flagkeep.model.context import Context
from flagkeep.model.item import ItemRef
from flagkeep.model.values import frozen_value
from flagkeep.storage.dataset import DataSet, Dependencies

log = logging.getLogger("flagkeep.client")

T = TypeVar("T")
_UNKNOWN: Final = object()
BACKLOG: Final = 100  # states that wait for slow listeners; beyond it they are told as one change
NOTHING: Final[Mapping[str, Membership]] = {}


class LookUp(Protocol):
    """Looks up the Big Segments of context keys."""

    async def __call__(self, keys: tuple[str, ...]) -> dict[str, Membership]:
        """Return them by key."""
        ...


class _News(NamedTuple):
    """A new state that nobody was told of yet."""

    old: DataSet
    new: DataSet
    refs: frozenset[ItemRef]
    catalog: Catalog

    def followed_by(self, later: "_News") -> "_News":
        """Return both as one change."""
        return _News(self.old, later.new, self.refs | later.refs, later.catalog)


class _Watched:
    """A flag and context whose value somebody watches."""

    def __init__(
        self,
        key: str,
        context: Context,
        listener: ValueChangeListener,
        value: Any,
    ) -> None:
        self.key = key
        self.context = context
        self.listener = listener
        self.value = value


class AsyncStatusListeners:
    """Those who want to know of each new status of one thing."""

    def __init__(self, work: AsyncWork) -> None:
        self._work = work
        self._listeners: list[StatusListener] = []

    def add(self, listener: StatusListener) -> Callable[[], None]:
        """Call `listener` with each new status; returns how to end that."""
        self._listeners.append(listener)

        def remove() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return remove

    def tell(self, status: Any) -> None:
        """Tell everybody, by and by."""
        if not self._listeners:
            return

        async def tell() -> None:
            for listener in list(self._listeners):
                await runtime.call_listener(listener, status)

        self._work.notify(tell)


class AsyncListeners:
    """The listeners of one client.

    Attributes:
        memberships: set by the owner: looks up the Big Segments of context keys; None: there are
            none.
    """

    def __init__(self, work: AsyncWork) -> None:
        self.memberships: LookUp | None = None
        self._work = work
        self._guard = runtime.Guard()
        self._changes: list[tuple[str | None, ChangeListener]] = []
        self._watched: list[_Watched] = []
        self._dependencies = Dependencies()
        self._news: deque[_News] = deque()

    def forget_parent(self) -> None:
        """In the child of a fork: what was to be told is the parent's to tell."""
        self._news.clear()

    @property
    def any(self) -> bool:
        """Whether anybody listens."""
        return bool(self._changes or self._watched)

    def on_change(self, key: str | None, listener: ChangeListener) -> Callable[[], None]:
        """Call `listener` with each change of the flag, or of any; returns how to end that."""
        return self._keep(self._changes, (key, listener))

    def on_value_change(
        self, key: str, context: Context, listener: ValueChangeListener, catalog: Catalog
    ) -> Callable[[], None]:
        """Call `listener` when the flag's value for `context` differs from the one in `catalog`."""
        watched = _Watched(key, context, listener, _UNKNOWN)
        remove = self._keep(self._watched, watched)
        try:
            watched.value = _value_of(self._view(catalog), key, context)
        except InputMissing:
            self._work.notify(partial(self._settle, catalog))
        return remove

    def swapped(
        self, old: DataSet, new: DataSet, refs: frozenset[ItemRef], catalog: Catalog
    ) -> None:
        """Tell everybody concerned about a new state, by and by."""
        is_unsettled = any(one.value is _UNKNOWN for one in self._watched)
        if not is_unsettled and not (refs and (self._changes or self._watched)):
            return

        news = _News(old, new, refs, catalog)
        with self._guard:
            is_behind = len(self._news) >= BACKLOG
            if is_behind:
                news = self._news.pop().followed_by(news)
            self._news.append(news)
        if not is_behind:
            self._work.notify(self._tell_next)

    async def _tell_next(self) -> None:
        with self._guard:
            news = self._news.popleft()
        await self._settle(news.catalog)
        affected = self._dependencies.affected_flags(news.old, news.new, news.refs)
        await self._tell(affected, news.catalog)

    async def _settle(self, catalog: Catalog) -> None:
        """Take the first value that can be had as the one to compare with, without a notice."""
        for watched in self._listed(self._watched):
            if watched.value is _UNKNOWN:
                watched.value = await self._value_of(catalog, watched)

    async def _tell(self, affected: set[str], catalog: Catalog) -> None:
        for key in sorted(affected):
            for wanted, listener in self._listed(self._changes):
                if wanted is None or wanted == key:
                    await runtime.call_listener(listener, FlagChange(key))
        for watched in self._listed(self._watched):
            if watched.key in affected:
                await self._tell_value(watched, catalog)

    async def _tell_value(self, watched: _Watched, catalog: Catalog) -> None:
        before, after = watched.value, await self._value_of(catalog, watched)
        if after is _UNKNOWN or frozen_value(before) == frozen_value(after):
            return
        watched.value = after
        change = FlagValueChange(watched.key, before, after)
        await runtime.call_listener(watched.listener, change)

    async def _value_of(self, catalog: Catalog, watched: _Watched) -> Any:
        """Return the value of a flag; unknown where something was not read yet."""
        known: dict[str, Membership] = {}
        while True:
            try:
                return _value_of(self._view(catalog, known), watched.key, watched.context)
            except InputMissing as exc:
                wanted = exc.memberships
            if not wanted or self.memberships is None:
                return _UNKNOWN
            known |= await self.memberships(wanted)

    def _view(self, catalog: Catalog, known: Mapping[str, Membership] = NOTHING) -> Catalog:
        """Return the catalog for which a membership that is not known is missing, not none."""
        return catalog if self.memberships is None else catalog.viewed(known)

    def _listed(self, listeners: Iterable[T]) -> list[T]:
        with self._guard:
            return list(listeners)

    def _keep(self, listeners: list[T], listener: T) -> Callable[[], None]:
        with self._guard:
            listeners.append(listener)

        def remove() -> None:
            with self._guard:
                if listener in listeners:
                    listeners.remove(listener)

        return remove


def _value_of(catalog: Catalog, key: str, context: Context) -> Any:
    """Return the value of a flag, None where it has none.

    Raises:
        InputMissing: something was not read yet.
    """
    if not isinstance(context, Context) or not context.valid:
        return None
    try:
        flag = catalog.flag(key)
        return None if flag is None else flag.evaluate(context, catalog).value
    except InputMissing:
        raise
    except Exception:  # what `variation` answers with the default
        log.exception("flag %r could not be evaluated for a listener", key)
        return None
