"""`flagkeep store status`: whether a store works, and what is in it."""

import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich.table import Table
from rich.text import Text

from flagkeep.cli.connection import Connection, connects
from flagkeep.cli.failures import ExitCode
from flagkeep.cli.options import AsJson
from flagkeep.cli.output import emit, emit_json
from flagkeep.cli.store_contents import Snapshot, State, StoredItem, Url, read_snapshot
from flagkeep.cli.store_table import table_of
from flagkeep.cli.stores import HALF_DONE, open_store
from flagkeep.cli.stores_opened import OpenStore
from flagkeep.cli.text import counted, printable
from flagkeep.errors import StoreError
from flagkeep.model.item import BadItem, Kind
from flagkeep.storage.contents import WriterRecord

_BIGGEST: Final = 5
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@connects
def status(url: Url, *, connection: Connection, json: AsJson = False) -> None:
    """Show whether a store works, what is in it, what is wrong with it, and who wrote it."""
    opened = open_store(url, connection, argument="URL")
    try:
        with closing(opened.store) as store:
            snapshot = read_snapshot(store)
    except StoreError as exc:
        if json:
            emit_json({**_place(opened), "reachable": False, "reason": exc.reason})
        raise
    if json:
        emit_json(_as_object(opened, snapshot))
    else:
        emit(*_as_text(opened, snapshot))
    if not all(item.is_placeholder for item, _ in snapshot.bad):
        raise typer.Exit(ExitCode.FINDINGS)


def _place(opened: OpenStore) -> dict[str, Any]:
    return {"store": opened.name, "prefix": opened.prefix}


# --- for programs --------------------------------------------------------------------------------


def _as_object(opened: OpenStore, snapshot: Snapshot) -> dict[str, Any]:
    flags, segments, tombstones = _amounts(snapshot)
    record = snapshot.record
    differences = _differences(snapshot)
    return {
        **_place(opened),
        "reachable": True,
        "initialized": snapshot.initialized,
        "flags": flags,
        "segments": segments,
        "tombstones": tombstones,
        "bytes": sum(one.size for one in snapshot.items),
        "biggest": [
            {"kind": one.ref.kind, "key": one.ref.key, "bytes": one.size}
            for one in _biggest(snapshot)
        ],
        "bad": [_bad_as_object(item, bad) for item, bad in snapshot.bad],
        "record": _record_as_object(record) if record else None,
        "agrees": None if record is None else not differences,
        "differences": differences,
    }


def _bad_as_object(item: StoredItem, bad: BadItem) -> dict[str, Any]:
    return {
        "kind": bad.kind,
        "key": bad.key,
        "path": bad.path,
        "problem": bad.problem,
        "bytes": None if item.data is None else item.size,
        "harmless": item.is_placeholder,
    }


def _record_as_object(record: WriterRecord) -> dict[str, Any]:
    return {
        "writer": record.writer,
        "host": record.host,
        "version": record.version,
        "source": record.source,
        "sourceState": record.source_state,
        "epoch": record.epoch,
        "replaces": record.replaces,
        "replacing": record.replacing,
        "lastFullWrite": record.last_full_write,
        "lastChange": record.last_change,
        "age": _age(record.last_change),
        "counts": {str(kind): record.counts.get(kind) for kind in Kind},
        "digest": record.digest,
    }


# --- for people ----------------------------------------------------------------------------------


def _as_text(opened: OpenStore, snapshot: Snapshot) -> list[Table | Text]:
    flags, segments, tombstones = _amounts(snapshot)
    bad = [why for _, why in snapshot.bad]
    rows = [
        ("Store", opened.name),
        ("Prefix", opened.prefix or "(none)"),
        ("Reachable", "yes"),
        ("Initialized", _initialized(snapshot)),
        ("Flags", str(flags)),
        ("Segments", str(segments)),
        ("Tombstones", str(tombstones)),
        ("Bad items", f"{len(bad)}, see below" if bad else "none"),
        ("Size", _sizes(snapshot)),
        *_record_rows(snapshot),
    ]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, Text(printable(value)))
    return [grid, Text(), _bad_table(bad)] if bad else [grid]


def _initialized(snapshot: Snapshot) -> str:
    if snapshot.initialized:
        return "yes"
    if snapshot.is_blank:
        return "no: nothing was ever written under this prefix"
    if not snapshot.items:
        return "no: nothing is left there but the record of who wrote it"
    return "no: what is there may be half of a set, or by an SDK that sets no marker"


def _sizes(snapshot: Snapshot) -> str:
    text = _bytes(sum(one.size for one in snapshot.items))
    named = ", ".join(
        f"{one.ref.kind} {one.ref.key} {_bytes(one.size)}" for one in _biggest(snapshot)
    )
    return f"{text}; biggest: {named}" if named else text


def _record_rows(snapshot: Snapshot) -> list[tuple[str, str]]:
    record = snapshot.record
    if record is None:
        why = "no flagkeep wrote the last full set, or its record may not be read"
        return [("Written by", f"nobody said: {why}")]
    writer = f"{record.writer} on {record.host or 'an unnamed host'}"
    version = f"flagkeep {record.version}" if record.version else "an unnamed version"
    state = f" ({record.source_state})" if record.source_state else ""
    rows = [
        ("Written by", f"{writer}, {version}, from {record.source or 'nobody said what'}{state}"),
        ("Last full set", f"{_when(record.last_full_write)}, number {record.replaces}"),
        ("Last change", f"{_when(record.last_change)}, epoch {record.epoch}"),
        ("Its record", f"{_counts(record)}, digest {record.digest or 'none'}"),
    ]
    if record.replacing:
        rows.append(("Under way", f"a full set: {HALF_DONE}"))
    differences = _differences(snapshot)
    return [*rows, ("Record is right", f"no: {'; '.join(differences)}" if differences else "yes")]


def _counts(record: WriterRecord) -> str:
    return ", ".join(counted(record.counts.get(kind, 0), str(kind)) for kind in Kind)


def _bad_table(bad: Iterable[BadItem]) -> Table:
    rows = [(str(one.kind), one.key, one.path, one.problem) for one in bad]
    return table_of(("Kind", "Key", "Path", "Problem"), rows)


# --- both ----------------------------------------------------------------------------------------


def _amounts(snapshot: Snapshot) -> tuple[int, int, int]:
    flags = len(snapshot.of(Kind.FLAG, State.ON, State.OFF))
    segments = len(snapshot.of(Kind.SEGMENT, State.LIVE))
    tombstones = sum(len(snapshot.of(kind, State.DELETED)) for kind in Kind)
    return flags, segments, tombstones


def _biggest(snapshot: Snapshot) -> list[StoredItem]:
    return sorted(snapshot.items, key=lambda one: -one.size)[:_BIGGEST]


def _differences(snapshot: Snapshot) -> list[str]:
    """Return where the record of the writer and the contents disagree."""
    record = snapshot.record
    if record is None:
        return []
    found = [
        f"it counts {counted(record.counts.get(kind, 0), str(kind))}, there are {there}"
        for kind, there in snapshot.tally.counts.items()
        if record.counts.get(kind, 0) != there
    ]
    if not found and record.digest != snapshot.tally.digest:
        why = "a part of another set is there" if record.replacing else "somebody else wrote since"
        found.append(f"the digest of what is there is {snapshot.tally.digest}: {why}")
    return found


def _age(since: float | None) -> float | None:
    return None if since is None else round(max(0.0, time.time() - since), 3)


def _when(seconds: float | None) -> str:
    age = _age(seconds)
    if seconds is None or age is None:
        return "nobody said when"
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):  # a damaged record
        return "at no time that there is"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({_in_words(age)} ago)"


def _in_words(age: float) -> str:
    for seconds, unit in _UNITS:
        if age >= seconds:
            return counted(int(age // seconds), unit)
    return "less than a second"


def _bytes(number: int) -> str:
    return f"{number:,} bytes"
