"""The environment that `eval` and `explain` look at: read once, from a store or from files."""

import difflib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from flagkeep.cli.connection import Connection
from flagkeep.cli.failures import CommandFailed, ExitCode
from flagkeep.cli.output import complain
from flagkeep.cli.progress import progress
from flagkeep.cli.stores import check_is_whole, open_store
from flagkeep.errors import InvalidItem
from flagkeep.evaluation.catalog import Catalog
from flagkeep.evaluation.explain import Case
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import decode_flag, decode_segment
from flagkeep.model.context import Context
from flagkeep.model.flag import Flag
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.segment import Segment
from flagkeep.protocol.files import read_files
from flagkeep.storage.contents import as_changes

T = TypeVar("T")


class Environment:
    """Items as one read found them. One that cannot be used is left out, and reported once.

    Attributes:
        source: what errors call it.
        bad: what was left out, and why.
    """

    def __init__(self, changes: ChangeSet, source: str) -> None:
        self.source = source
        self.bad: dict[ItemRef, BadItem] = {}
        self._flags = dict(changes.flags)
        self._segments = dict(changes.segments)
        self._catalog = Catalog(self._flags, self._segments)
        for one in changes.bad:
            self._leave_out(one)

    def ask(self, question: Callable[[Catalog], T]) -> T:
        """Return the answer to `question`, which may meet items that turn out to be unusable.

        Reading a store does not open the items, so that a large one costs nothing for the flags
        that nobody asks for.
        """
        while True:
            try:
                return question(self._catalog)
            except InvalidItem as exc:
                self._leave_out(BadItem(Kind(exc.kind), exc.key, exc.path, exc.problem))

    def case(self, context: Context) -> Case:
        """Return what explanations need."""

        def flag(key: str) -> Flag | None:
            item = _live(self._flags.get(key))
            return None if item is None else decode_flag(item.data, key)

        def segment(key: str) -> Segment | None:
            item = _live(self._segments.get(key))
            return None if item is None else decode_segment(item.data, key)

        return Case(context, flag, segment, self._catalog)

    def keys(self) -> list[str]:
        """Return the keys of all flags that exist, in their order."""
        return [key for key, item in self._flags.items() if not item.deleted]

    def missing(self, key: str) -> CommandFailed:
        """Return the end of a command that wants a flag that is not there."""
        bad = self.bad.get(ItemRef(Kind.FLAG, key))
        if bad is not None:
            return CommandFailed(ExitCode.FINDINGS, f"{bad}: correct it, or see flagkeep lint")
        if key in self._flags:
            version = self._flags[key].version
            problem = f"flag {key!r} was deleted, at version {version}"
            return CommandFailed(ExitCode.NO_SUCH_FLAG, problem)
        close = difflib.get_close_matches(key, self.keys(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "--all shows every flag there is"
        problem = f"there is no flag {key!r} in {self.source}: {hint}"
        return CommandFailed(ExitCode.NO_SUCH_FLAG, problem)

    def _leave_out(self, bad: BadItem) -> None:
        self.bad[bad.ref] = bad
        (self._flags if bad.kind is Kind.FLAG else self._segments).pop(bad.key, None)
        self._catalog = Catalog(self._flags, self._segments)
        complain(f"left out: {bad}")


def read_environment(
    *, store: str | None, connection: Connection, files: Sequence[str] | None
) -> Environment:
    """Return what the options of a command point at.

    Raises:
        CommandFailed: the options do not go together, or there is nothing.
        FlagkeepError: it cannot be read.
    """
    if bool(store) == bool(files):
        problem = "say where the flags are: either --store or one or more --file"
        raise CommandFailed(ExitCode.USAGE, problem)
    if store:
        return _from_store(store, connection)
    if connection.prefix is not None:
        raise CommandFailed(ExitCode.USAGE, "--prefix goes with --store: files have none")
    names = list(files or ())
    read = [(name, Path(name).read_bytes()) for name in names]
    return Environment(read_files(read), ", ".join(names))


def _from_store(url: str, connection: Connection) -> Environment:
    opened = open_store(url, connection)
    with closing(opened.store) as store, progress("reading"):
        contents = store.get_all()
    is_empty = not (contents.flags or contents.segments or contents.bad)
    check_is_whole(
        opened,
        is_empty=is_empty,
        is_initialized=contents.initialized,
        is_half_done=contents.unfinished is not None,
    )
    return Environment(as_changes(contents), str(opened))


def _live(item: SerializedItem | None) -> SerializedItem | None:
    return None if item is None or item.deleted else item
