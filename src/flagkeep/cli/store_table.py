"""Tables as the commands of `flagkeep store` print them."""

from collections.abc import Iterable, Iterator, Sequence
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


def lines_of(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table of plain lines: ten thousand of them take no time, and none is folded."""
    shown = [names, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    is_number = [name in _NUMBERS for name in names]
    for row in shown:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        )
        yield "  ".join(cells).rstrip()
