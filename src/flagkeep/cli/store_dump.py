"""`flagkeep store dump`: a whole environment as a file."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from flagkeep.cli.connection import Connection, connects
from flagkeep.cli.failures import CommandFailed, ExitCode
from flagkeep.cli.options import AsJson
from flagkeep.cli.output import complain, emit_json, emit_json_parts, emit_text
from flagkeep.cli.progress import progress
from flagkeep.cli.store_contents import Snapshot, State, StoredItem, Url, read_snapshot
from flagkeep.cli.stores import check_is_whole, open_store
from flagkeep.cli.text import counted
from flagkeep.errors import InvalidItem
from flagkeep.model.codec import encode_json
from flagkeep.model.item import BadItem, Kind
from flagkeep.model.tombstone import tombstone
from flagkeep.protocol.files import make_item

_SECTIONS = {Kind.FLAG: "flags", Kind.SEGMENT: "segments"}


class Dumped(NamedTuple):
    """What goes into the file, and what does not.

    Attributes:
        texts: JSON by kind and key.
        bad: what no file can hold.
    """

    texts: dict[Kind, dict[str, bytes]]
    bad: list[BadItem]
    tombstones: int


@connects
def dump(
    url: Url,
    *,
    connection: Connection,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write here instead of to stdout."),
    ] = None,
    tombstones: Annotated[bool, typer.Option("--tombstones", help="Deleted items too.")] = False,
    json: AsJson = False,
) -> None:
    """Write the environment as a JSON file that `load`, --file and FileSource read."""
    if json and output is None:
        raise CommandFailed(ExitCode.USAGE, "--json tells what was written, so name an --output")
    opened = open_store(url, connection, argument="URL")
    with closing(opened.store) as store:
        snapshot = read_snapshot(store)
    check_is_whole(
        opened,
        is_empty=not snapshot.items,
        is_initialized=snapshot.initialized,
        is_half_done=snapshot.is_half_done,
    )
    dumped = _dumped(snapshot, with_tombstones=tombstones)
    for bad in dumped.bad:
        complain(f"left out: {bad}")
    if output is None:
        emit_json_parts(_document(dumped))
    else:
        write_file(Path(output), _document(dumped))
    if json:
        emit_json(_as_object(dumped, output))
    elif output is not None:
        emit_text(f"{_amounts(dumped)} written to {output}")
    if dumped.bad:
        raise typer.Exit(ExitCode.FINDINGS)


def _dumped(snapshot: Snapshot, *, with_tombstones: bool) -> Dumped:
    texts: dict[Kind, dict[str, bytes]] = {kind: {} for kind in Kind}
    bad = [why for item, why in snapshot.bad if not item.is_placeholder]
    deleted = 0
    with progress("checking that a file can hold it", len(snapshot.items)) as advance:
        for item in snapshot.items:
            advance()
            is_deleted = item.state is State.DELETED
            if item.bad is not None or (is_deleted and not with_tombstones):
                continue
            try:
                texts[item.ref.kind][item.ref.key] = _text(item)
                deleted += is_deleted
            except InvalidItem as exc:
                bad.append(BadItem(item.ref.kind, item.ref.key, exc.path, exc.problem))
    return Dumped(texts, bad, deleted)


def _text(item: StoredItem) -> bytes:
    """Return the text to the letter, once it is sure that a file source takes it.

    Raises:
        InvalidItem: it does not, for example because of another key inside.
    """
    kind, key = item.ref
    data = item.data or b""
    if item.state is State.DELETED and not data.strip().startswith(b"{"):
        return tombstone(kind, key, item.version or 0).data  # `null`: the row alone says it
    make_item(kind, key, data)
    return data


def _document(dumped: Dumped) -> Iterator[bytes]:
    """Yield a file with an item on each line, so that two of them can be compared."""
    yield b"{\n"
    for kind, name in _SECTIONS.items():
        yield b'"%b": {' % name.encode()
        separator = b"\n"
        for key, text in dumped.texts[kind].items():
            yield separator + encode_json(key) + b": " + text.strip()
            separator = b",\n"
        yield b"\n}%b\n" % (b"," if kind is Kind.FLAG else b"")
    yield b"}\n"


def write_file(path: Path, parts: Iterable[bytes]) -> None:
    """Put a new file in the place of an old one, once all of it is written."""
    path = path.resolve()  # what a link leads to is replaced, not the link
    if path.exists() and not path.is_file():  # a device or a pipe stays what it is
        with path.open("wb") as device:
            device.writelines(parts)
        return
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.writelines(parts)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _amounts(dumped: Dumped) -> str:
    flags, segments = (len(dumped.texts[kind]) for kind in Kind)
    text = f"{counted(flags, 'flag')} and {counted(segments, 'segment')}"
    return (
        f"{text} ({counted(dumped.tombstones, 'tombstone')} among them)"
        if dumped.tombstones
        else text
    )


def _as_object(dumped: Dumped, output: str | None) -> dict[str, object]:
    return {
        "file": output,
        "flags": len(dumped.texts[Kind.FLAG]),
        "segments": len(dumped.texts[Kind.SEGMENT]),
        "tombstones": dumped.tombstones,
        "bad": [
            {"kind": one.kind, "key": one.key, "path": one.path, "problem": one.problem}
            for one in dumped.bad
        ],
    }
