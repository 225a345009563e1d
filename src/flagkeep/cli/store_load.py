"""`flagkeep store load`: fill a store from files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import typer

from flagkeep._runtime.process import host_name, new_writer_id
from flagkeep.cli.confirm import confirm
from flagkeep.cli.connection import Connection, connects
from flagkeep.cli.failures import CommandFailed, ExitCode
from flagkeep.cli.lint import line_of
from flagkeep.cli.lint_files import FileFinding, lint_read
from flagkeep.cli.options import AsJson
from flagkeep.cli.output import complain, emit_json, emit_text
from flagkeep.cli.progress import progress
from flagkeep.cli.store_clear import Yes, read_all, what_it_holds
from flagkeep.cli.store_contents import Url
from flagkeep.cli.stores import open_store
from flagkeep.cli.stores_opened import OpenStore, Store
from flagkeep.cli.text import counted
from flagkeep.errors import StoreError, StoreMissing, StoreUnavailable
from flagkeep.evaluation.lint import Severity
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.protocol.files import read_files
from flagkeep.storage.contents import StoreContents, WriterRecord
from flagkeep.storage.dataset import DataSet, replaced
from flagkeep.storage.items import without_unstorable
from flagkeep.storage.versions import raise_versions
from flagkeep.version import VERSION

_NOTHING = StoreContents(initialized=False, flags={}, segments={})
_IN_STEPS: Final = ("dynamodb", "consul")  # the others write a full set at once, or nothing


class Loaded(NamedTuple):
    """What came of it.

    Attributes:
        written: what was put into the store.
        kept: what stays in the store as it was: an item that is bad in the files, or as new.
        refused: what the database did not take, or somebody else has overwritten at once.
    """

    written: Mapping[ItemRef, SerializedItem]
    kept: Mapping[ItemRef, SerializedItem]
    refused: Mapping[ItemRef, SerializedItem]


@connects
def load(
    url: Url,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Together they are one environment.")
    ],
    *,
    connection: Connection,
    update: Annotated[
        bool, typer.Option("--update", help="Add what is newer, and leave the rest as it is.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Load nothing if lint finds an error.")
    ] = False,
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Put the environment in files into the place of the one in the store, in one go."""
    opened = open_store(url, connection, argument="URL")
    changes, errors = _read(files)
    for error in errors:
        complain(line_of(error).plain)
    if strict and errors:
        problem = "nothing was loaded: correct the files, or leave out --strict"
        raise CommandFailed(ExitCode.FINDINGS, problem)
    with closing(opened.store) as store:
        loaded = _update(store, changes) if update else _replace(opened, changes, is_agreed=yes)
    if json:
        emit_json(_as_object(opened, loaded, errors))
    else:
        emit_text(_summary(opened, loaded, is_update=update))
    for ref in loaded.refused:
        complain(f"{ref.kind} {ref.key!r} was not stored; what was there of it stays")
    if errors or loaded.refused:
        raise typer.Exit(ExitCode.FINDINGS)


def _read(files: Sequence[str]) -> tuple[ChangeSet, list[FileFinding]]:
    """Return what can be stored of the files, and what is wrong with them."""
    with progress("checking the files"):
        read = [(name, Path(name).read_bytes()) for name in files]  # once: one may be a pipe
        changes = read_files(read)
        errors = [one for one in lint_read(read).findings if one.severity is Severity.ERROR]
        changes, refused = without_unstorable(changes)
    known = {(one.kind, one.key) for one in errors}
    errors += [
        FileFinding(
            ", ".join(files), None, one.kind, one.key, one.path, Severity.ERROR, one.problem
        )
        for one in refused
        if one.ref not in known
    ]
    return changes, errors


def _replace(opened: OpenStore, changes: ChangeSet, *, is_agreed: bool) -> Loaded:
    """Make the store hold what the files say, as a client with these files would.

    What is bad in the files keeps its last good version. What differs from the store gets a version
    above the one there: readers of any kind take it for news.
    """
    store = opened.store
    try:
        contents = read_all(store)
        record = store.read_record()
    except StoreMissing:
        contents, record = _NOTHING, None
    held = what_it_holds(contents)
    if held is not None:
        confirm(f"{held} in {opened} would be replaced", is_agreed=is_agreed)
    known = contents or _NOTHING
    raised = ChangeSet(
        full=True,
        flags=raise_versions(known.flags, changes.flags),
        segments=raise_versions(known.segments, changes.segments),
        bad=changes.bad,
    )
    data = replaced(DataSet(known.flags, known.segments), raised).data
    whole = ChangeSet(full=True, flags=data.flags, segments=data.segments)
    with _saying_what_is_left(opened), progress("writing"):
        store.replace(whole, _record(record))
    bad = {one.ref for one in changes.bad}
    items = dict(whole.items())
    return _compared(
        store,
        {ref: item for ref, item in items.items() if ref not in bad},
        {ref: item for ref, item in items.items() if ref in bad},
    )


@contextmanager
def _saying_what_is_left(opened: OpenStore) -> Iterator[None]:
    """Say it if writing ends early and a part of the set may be in the store."""
    try:
        yield
    except (StoreUnavailable, KeyboardInterrupt) as exc:
        if opened.store.name in _IN_STEPS and (
            isinstance(exc, KeyboardInterrupt) or _may_be_half_done(opened.store)
        ):
            complain(f"{opened} may have a part of the new set now: load it again")
        raise


def _may_be_half_done(store: Store) -> bool:
    """Return what the record says; True if the store cannot be asked."""
    try:
        record = store.read_record()
    except StoreMissing:
        return False
    except StoreError:
        return True
    return record is not None and record.replacing


def _update(store: Store, changes: ChangeSet) -> Loaded:
    with progress("writing"):
        refused = store.upsert(msgspec.structs.replace(changes, full=False))
        if not store.is_initialized():
            complain("the store has no complete set, and this is none: readers may wait for one")
    return _compared(
        store, {ref: one for ref, one in changes.items() if ref not in refused}, refused
    )


def _compared(
    store: Store, sent: Mapping[ItemRef, SerializedItem], kept: Mapping[ItemRef, SerializedItem]
) -> Loaded:
    """Look at what is in the store now: databases have limits, and stores skip what is over them.

    Args:
        store: which says in its log why it has skipped something.
        sent: what should be there, or something newer.
        kept: what was left as it was.
    """
    with progress("looking at what was written"):
        contents = store.get_all()
    refused = {
        ref: item
        for ref, item in sent.items()
        if (there := contents.of(ref.kind).get(ref.key)) is None or there.version < item.version
    }
    written = {ref: item for ref, item in sent.items() if ref not in refused}
    return Loaded(written, kept, refused)


def _record(previous: WriterRecord | None) -> WriterRecord:
    return WriterRecord(
        writer=new_writer_id(),
        host=host_name(),
        epoch=previous.epoch if previous else 0,
        source="file",
        version=VERSION,
    )


def _summary(opened: OpenStore, loaded: Loaded, *, is_update: bool) -> str:
    text = f"{_amounts(loaded.written)} written to {opened}"
    if loaded.kept:
        why = "at least as new there" if is_update else "bad in the files"
        text += f"; {_amounts(loaded.kept)} {why} and left as it was"
    return text


def _amounts(items: Mapping[ItemRef, SerializedItem]) -> str:
    amounts = [counted(_number(items, kind), str(kind)) for kind in Kind]
    deleted = sum(item.deleted for item in items.values())
    return " and ".join(amounts) + (f" and {counted(deleted, 'tombstone')}" if deleted else "")


def _number(items: Mapping[ItemRef, SerializedItem], kind: Kind) -> int:
    return sum(ref.kind is kind and not item.deleted for ref, item in items.items())


def _as_object(opened: OpenStore, loaded: Loaded, errors: Sequence[FileFinding]) -> dict[str, Any]:
    return {
        "store": opened.name,
        "prefix": opened.prefix,
        "flags": _number(loaded.written, Kind.FLAG),
        "segments": _number(loaded.written, Kind.SEGMENT),
        "tombstones": sum(item.deleted for item in loaded.written.values()),
        "kept": [
            {"kind": ref.kind, "key": ref.key, "version": item.version}
            for ref, item in loaded.kept.items()
        ],
        "refused": [{"kind": ref.kind, "key": ref.key} for ref in loaded.refused],
        "errors": msgspec.to_builtins(errors),
    }
