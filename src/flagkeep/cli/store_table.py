"""Tables as every command of `flagkeep store` prints them."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from flagkeep.cli.text import printable

_NUMBERS: Final = frozenset({"Version", "Bytes"})


def table_of(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table of text, whatever characters are in it."""
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", justify="right" if name in _NUMBERS else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
