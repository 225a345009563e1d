"""What was found, as a table for people and as rows for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

COLUMNS: Final = {
    "evaluate": "evaluate()",
    "client": "Client",
    "ldclient": "flagkeep.ldclient",
    "official": "official",
}


class Verdict(StrEnum):
    """Whether a measurement keeps to its budget."""

    OK = "ok"
    OVER = "over"


@dataclass(slots=True)
class Row:
    """One line of the table.

    Attributes:
        values: by face, in `unit`.
        budgets: by face, in `unit`; already scaled to this machine where that applies.
        against: the face that the others, but for the official SDK, are compared with; `""` for
            none. Their budgets are shown as multiples of its value.
        note: what else must be said; a note is a fault.
    """

    name: str
    unit: str
    values: dict[str, float] = field(default_factory=dict)
    budgets: dict[str, float] = field(default_factory=dict)
    against: str = ""
    note: str = ""
    more_is_better: bool = False

    def verdict(self, face: str) -> Verdict | None:
        """Return how the face did, None if it has no budget or was not measured."""
        if face not in self.budgets or face not in self.values:
            return None
        fault = self.note or self.values[face] > self.budgets[face]
        return Verdict.OVER if fault else Verdict.OK

    def verdicts(self) -> list[Verdict]:
        """Return those of all faces that have one."""
        found = (self.verdict(face) for face in self.values)
        return [one for one in found if one is not None]

    def ratio(self) -> float | None:
        """Return how many times faster or smaller `Client` is than the official SDK."""
        ours, theirs = self.values.get("client"), self.values.get("official")
        if not ours or not theirs:
            return None
        return ours / theirs if self.more_is_better else theirs / ours

    def multiple(self, face: str) -> float | None:
        """Return how many times as much as what it is compared with a face takes."""
        if not self.against or face not in self.values or face in {self.against, "official"}:
            return None
        return self.values[face] / self.values[self.against]

    def as_dict(self) -> dict[str, Any]:
        """Return the form for programs."""
        return {
            "name": self.name,
            "unit": self.unit,
            "values": self.values,
            "budgets": self.budgets,
            "verdicts": {face: self.verdict(face) for face in self.budgets},
            "multiples": {face: self.multiple(face) for face in self.values},
            "ratio": self.ratio(),
            "note": self.note,
        }


def print_rows(heading: str, rows: Sequence[Row], columns: Mapping[str, str] = COLUMNS) -> None:
    """Print the table; a value with a budget is followed by it and by the verdict."""
    lines = [["", *columns.values(), "times better"]]
    for row in rows:
        cells = [cell(row, face) for face in columns]
        ratio = row.ratio()
        lines.append([row.name, *cells, f"{ratio:.1f}" if ratio else ""])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    print(heading)
    for line in lines:
        first, *rest = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join([first, *rest]).rstrip())
    for row in rows:
        if row.note:
            print(f"{row.name}: {row.note}")


def cell(row: Row, face: str) -> str:
    """Return `0.21 µs (0.49 ok)`, or `2.17 ms = 1.31 x (1.30 over)` if there is a comparison."""
    if face not in row.values:
        return ""
    text = f"{number(row.values[face])} {row.unit}"
    verdict, budget = row.verdict(face), row.budgets.get(face)
    multiple = row.multiple(face)
    if multiple is not None:
        text += f" = {number(multiple)} x"
        budget = None if budget is None else budget / row.values[row.against]
    if verdict is None or budget is None:
        return text
    return f"{text} ({number(budget)} {verdict})"


def number(value: float) -> str:
    """Return three significant digits, never in scientific form."""
    digits = 3 if value < 1 else 2 if value < 10 else 1
    return f"{value:.{digits}f}"
