"""What a store does beside what the bare driver takes for as much, and beside the official SDK.

Budgets are multiples of what was measured in the same run, so that no machine scales them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import run
from benchmarks.programs.timing import CPU
from benchmarks.report import Row

PER_MS: Final = {"ms": 1.0, "µs": 1_000.0}

Ms = dict[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One thing that the store does, and what it is compared with.

    Attributes:
        name: how the table calls it.
        plain: what of the same program it is compared with: nearly always a command of the driver.
        ours: what is timed of flagkeep, and of the official SDK.
        unit: "ms" or "µs".
        times: how many times as long it may take; None if nothing was promised.
        of_process: whether it is about the processor time of the process that asks.
    """

    name: str
    plain: str
    ours: str
    unit: str
    times: float | None = None
    of_process: bool = False

    def row(self, ours: Ms, theirs: Ms) -> Row:
        """Return the line of the table."""
        factor = PER_MS[self.unit]
        row = Row(self.name, self.unit)
        face = "async" if self.ours.startswith("async ") else "client"
        start = CPU if self.of_process else ""
        done = start + self.ours
        row.values[face] = ours[done] * factor
        if self.plain:
            row.values["plain"] = ours[start + self.plain] * factor
            row.against = "plain"
        if done in theirs:
            row.values["official"] = theirs[done] * factor
        if self.times is not None:
            row.budgets[face] = row.values["plain"] * self.times
        return row


def in_turn(commands: Mapping[str, Sequence[str | Path]], rounds: int) -> dict[str, Ms]:
    """Return, by command, the least of all that it prints in so many rounds."""
    found: dict[str, Ms] = {name: {} for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            take_least(found[name], json.loads(run(command)))
    return found


def take_least(found: Ms, report: Mapping[str, float]) -> None:
    """Keep the lesser of each."""
    for name, ms in report.items():
        found[name] = min(ms, found.get(name, ms))


def rows(comparisons: Iterable[Comparison], ours: Ms, theirs: Ms) -> list[Row]:
    """Return the lines of all of them."""
    return [one.row(ours, theirs) for one in comparisons]
