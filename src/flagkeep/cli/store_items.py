"""`flagkeep store get` and `flagkeep store list`: items as they are stored."""

import difflib
import fnmatch
from contextlib import closing
from typing import Annotated, Any

import msgspec
import typer

from flagkeep.cli.connection import Connection, connects
from flagkeep.cli.failures import CommandFailed, ExitCode
from flagkeep.cli.options import AsJson
from flagkeep.cli.output import complain, emit_json, emit_json_text, emit_lines, emit_text
from flagkeep.cli.store_contents import State, StoredItem, Url, look_at, read_snapshot
from flagkeep.cli.store_table import lines_of
from flagkeep.cli.stores import open_store
from flagkeep.cli.stores_opened import OpenStore, Store
from flagkeep.cli.text import printable
from flagkeep.model.codec import encode_json
from flagkeep.model.item import ItemRef, Kind


@connects
def get(
    url: Url,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Of the flag or segment.")],
    *,
    connection: Connection,
    kind: Annotated[Kind, typer.Option(help="What it is.")] = Kind.FLAG,
    json: AsJson = False,
) -> None:
    """Print one flag or segment as it is stored; --json adds version, state and size."""
    opened = open_store(url, connection, argument="URL")
    ref = ItemRef(kind, key)
    with closing(opened.store) as store:
        found = store.get_many([ref]).get(ref)
        if found is None:
            raise _missing(opened, ref)
    item = look_at(ref, found)
    if json:
        emit_json_text(_whole(item))
    elif item.bad is None:
        emit_json_text(found.data)
    else:
        emit_text(printable(found.data.decode(errors="backslashreplace")))
    if item.bad is not None:
        raise CommandFailed(ExitCode.FINDINGS, f"it cannot be used: {item.bad}")
    if item.state is State.DELETED:
        problem = f"{kind} {key!r} was deleted, at version {item.version}"
        raise CommandFailed(ExitCode.NO_SUCH_FLAG, problem)


def _whole(item: StoredItem) -> bytes:
    """Return JSON with the stored text in it to the letter; a bad one is a string or null."""
    data = item.data or b""
    text: Any = msgspec.Raw(data)
    if item.bad is not None:
        text = data.decode(errors="backslashreplace")
    return msgspec.json.encode(
        {
            "kind": item.ref.kind,
            "key": msgspec.Raw(encode_json(item.ref.key)),
            "version": item.version,
            "state": item.state,
            "bytes": item.size,
            "problem": None if item.bad is None else f"{item.bad.path}: {item.bad.problem}",
            "item": text,
        }
    )


def _missing(opened: OpenStore, ref: ItemRef) -> CommandFailed:
    contents = opened.store.get_all()
    problem = f"there is no {ref.kind} {ref.key!r} in {opened}"
    other = Kind.SEGMENT if ref.kind is Kind.FLAG else Kind.FLAG
    close = difflib.get_close_matches(ref.key, contents.of(ref.kind), n=3)
    if ref.key in contents.of(other):
        problem += f"; there is a {other} of that key: --kind {other}"
    elif close:
        problem += f": did you mean {' or '.join(map(repr, close))}?"
    elif not (contents.initialized or contents.flags or contents.segments):
        problem += ": nothing was ever written there, check --prefix"
    else:
        problem += ": flagkeep store list shows what there is"
    return CommandFailed(ExitCode.NO_SUCH_FLAG, problem)


@connects
def list_items(
    url: Url,
    *,
    connection: Connection,
    kind: Annotated[Kind | None, typer.Option(help="Only these.")] = None,
    state: Annotated[
        list[State] | None, typer.Option(help="Only these; repeatable. `live` are segments.")
    ] = None,
    match: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Only keys like this, such as 'shop-*'.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show every item: key, version, state, kind and size."""
    opened = open_store(url, connection, argument="URL")
    items = [
        item
        for item in _all(opened.store)
        if (kind is None or item.ref.kind is kind)
        and (not state or item.state in state)
        and (match is None or fnmatch.fnmatchcase(item.ref.key, match))
    ]
    if json:
        emit_json([_as_object(item) for item in items])
        return
    if not items:
        complain(f"nothing of that is in {opened}")
        return
    rows = [
        (
            item.ref.key,
            "" if item.version is None else str(item.version),
            str(item.state),
            str(item.ref.kind),
            str(item.size),
        )
        for item in items
    ]
    emit_lines(lines_of(("Key", "Version", "State", "Kind", "Bytes"), rows))


def _all(store: Store) -> list[StoredItem]:
    with closing(store):
        return list(read_snapshot(store).items)


def _as_object(item: StoredItem) -> dict[str, Any]:
    return {
        "kind": item.ref.kind,
        "key": item.ref.key,
        "version": item.version,
        "state": item.state,
        "bytes": None if item.data is None else item.size,
        "problem": None if item.bad is None else f"{item.bad.path}: {item.bad.problem}",
    }
