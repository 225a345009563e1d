"""`flagkeep store clear`: remove one environment from a store."""

from contextlib import closing
from typing import Annotated

import typer

from flagkeep.cli.confirm import confirm
from flagkeep.cli.connection import Connection, connects
from flagkeep.cli.options import AsJson
from flagkeep.cli.output import emit_json, emit_text
from flagkeep.cli.progress import progress
from flagkeep.cli.store_contents import Url
from flagkeep.cli.stores import open_store
from flagkeep.cli.stores_opened import Store
from flagkeep.cli.text import counted
from flagkeep.errors import StoreCorrupt
from flagkeep.model.item import Kind
from flagkeep.storage.contents import StoreContents

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before anything is lost.")]


@connects
def clear(url: Url, *, connection: Connection, yes: Yes = False, json: AsJson = False) -> None:
    """Remove everything under the prefix, and nothing else of the database."""
    opened = open_store(url, connection, argument="URL")
    with closing(opened.store) as store:
        held = what_it_holds(read_all(store))
        if held is not None:
            confirm(f"{held} in {opened} would be removed", is_agreed=yes)
        with progress("removing"):
            store.clear()
    if json:
        emit_json({"store": opened.name, "prefix": opened.prefix, "removed": held})
    else:
        emit_text(f"removed: {held}" if held else f"{opened} held nothing")


def read_all(store: Store) -> StoreContents | None:
    """Return what a store holds; None if that cannot be made out, though there is something.

    Raises:
        StoreError: nothing can be done with it.
    """
    with progress("reading"):
        try:
            return store.get_all()
        except StoreCorrupt:
            store.is_initialized()  # raises where nothing at all can be read, or written
            return None


def what_it_holds(contents: StoreContents | None) -> str | None:
    """Return what there is to lose, for people; None if there is nothing."""
    if contents is None:
        return "something that cannot be read"
    if not (contents.initialized or contents.flags or contents.segments or contents.bad):
        return None
    amounts = [counted(len(contents.of(kind)), str(kind)) for kind in Kind]
    if contents.bad:
        amounts.append(counted(len(contents.bad), "bad item"))
    return ", ".join(amounts)
