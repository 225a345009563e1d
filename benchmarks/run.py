"""Compare flagkeep with the official SDK on this machine.

`make bench`, or `python -m benchmarks.run`. Each SDK has its own interpreter; they take turns, in
several rounds, and the least of all counts: whatever else the machine does only makes it slower.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import interpreters, over_databases, over_redis, processes, upstream
from benchmarks.cases import CASES, FACE_BUDGET_US, REFERENCE_US, Case
from benchmarks.measure import THREADS
from benchmarks.processes import Budget, run
from benchmarks.report import COLUMNS, Row, Verdict, print_rows

# Which interpreter each face of `benchmarks.faces` runs in, in the order of the rounds.
FACES: Final = {
    "official": "official",
    "client": "flagkeep",
    "ldclient": "flagkeep",
    "evaluate": "flagkeep",
}
PARTS: Final = (
    "speed",
    "start",
    "memory",
    "redis",
    "outages",
    "dynamodb",
    "consul",
    "stream",
    "events",
    "threads",
)
ON_REDIS: Final = frozenset(("redis", "outages"))
NEED_FILES: Final = frozenset(("start", "memory", "redis", "outages"))

Times = dict[str, dict[str, float]]


def main() -> int:
    """Measure, print, and return the exit code."""
    wanted = arguments()
    progress("installing both SDKs into .bench/ …")
    pythons = {
        "official": interpreters.official(),
        "flagkeep": interpreters.flagkeep(build=not wanted.no_build),
    }
    tables = of_one_sdk(pythons, wanted)
    tables += of_databases(pythons["flagkeep"], wanted)
    tables += of_connected(pythons, wanted)
    every = [row for table in tables for row in table.rows]
    if wanted.json:
        made = {
            "machine": [table.heading for table in tables],
            "rows": [row.as_dict() for row in every],
        }
        json.dump(made, sys.stdout, indent=1)
        print()
    else:
        for table in tables:
            if table.rows:
                print_rows(table.heading, table.rows, table.columns)
    over = [row.name for row in every if Verdict.OVER in row.verdicts()]
    return 1 if wanted.check and over else 0


def of_one_sdk(pythons: Mapping[str, Path], wanted: argparse.Namespace) -> "list[Table]":
    """Measure what needs no service."""
    rows: list[Row] = []
    remarks = [machine()]
    if "speed" in wanted.part:
        progress("checking that all faces give the same values …")
        check_equal(pythons, wanted.face)
        found, scale = speed(pythons, wanted)
        rows += found
        remarks.append(
            f"budgets of evaluations x {scale:.2f}: what the official SDK takes for A here"
        )
    redis_rows: list[Row] = []
    if NEED_FILES & set(wanted.part):
        progress("writing 10,000 flags …")
        files = processes.prepare(pythons["flagkeep"])
        if "start" in wanted.part:
            progress("starting processes …")
            rows += start(pythons, files, wanted.rounds * 3)
        if "memory" in wanted.part:
            progress("weighing processes …")
            rows += memory(pythons, files, max(1, wanted.rounds // 2))
        redis_rows = on_redis(pythons, files, wanted)
    tables = [Table("; ".join(remarks), rows, COLUMNS)]
    if redis_rows:
        tables.append(Table(over_redis.heading(pythons), redis_rows, over_redis.COLUMNS))
    return tables


def of_databases(flagkeep: Path, wanted: argparse.Namespace) -> "list[Table]":
    """Measure the stores in DynamoDB and Consul, where there are such servers."""
    tables = []
    for name in over_databases.DATABASES:
        if name not in wanted.part:
            continue
        progress(f"filling and reading a store in {name} …")
        if what := over_databases.missing(name):
            progress(f"left out: {what}")
            continue
        theirs = over_databases.official()
        rows = over_databases.rows(name, flagkeep, theirs, wanted.rounds)
        heading = over_databases.heading(name, flagkeep, theirs)
        tables.append(Table(heading, rows, over_databases.COLUMNS))
    return tables


def of_connected(pythons: Mapping[str, Path], wanted: argparse.Namespace) -> "list[Table]":
    """Measure clients of a service."""
    tables = []
    if "stream" in wanted.part:
        progress("following a stream …")
        rows = upstream.stream(pythons, processes.prepare(pythons["flagkeep"]), wanted.rounds)
        tables.append(Table("a stream on loopback", rows, upstream.STREAM_COLUMNS))
    if "events" in wanted.part:
        progress("evaluating with events on …")
        rows, scale = upstream.events(pythons, max(1, wanted.rounds // 2))
        heading = f"events; budgets x {scale:.2f}: what the official SDK takes for A with them here"
        tables.append(Table(heading, rows, upstream.EVENT_COLUMNS))
    if "threads" in wanted.part:
        progress("evaluating in eight threads …")
        rows = upstream.threads(pythons, max(1, wanted.rounds // 2))
        tables.append(Table("eight threads, with events", rows, upstream.THREAD_COLUMNS))
    return tables


@dataclass(slots=True)
class Table:
    """Rows that are shown together."""

    heading: str
    rows: list[Row]
    columns: Mapping[str, str]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each SDK has its turn")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a budget is exceeded")
    parser.add_argument("--no-build", action="store_true", help="use the flagkeep of the last run")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this; may be repeated")
    parser.add_argument(
        "--face", action="append", choices=tuple(FACES), help="only this; may be repeated"
    )
    wanted = parser.parse_args()
    wanted.part = wanted.part or list(PARTS)
    wanted.face = wanted.face or list(FACES)
    return wanted


def progress(text: str) -> None:
    """Tell a person what is being done."""
    print(text, file=sys.stderr, flush=True)


def machine() -> str:
    """Return what was measured on."""
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"


# --- evaluation --------------------------------------------------------------------------------


def measured(python: Path, face: str, *options: str) -> dict[str, Any]:
    """Return what `benchmarks.measure` says of one face."""
    answer: dict[str, Any] = json.loads(run([python, "-m", "benchmarks.measure", face, *options]))
    return answer


def check_equal(pythons: Mapping[str, Path], faces: Iterable[str]) -> None:
    """End the program if two faces put a context on different sides of a rollout."""
    values = {face: measured(pythons[FACES[face]], face, "--check") for face in faces}
    first = next(iter(values))
    for face, found in values.items():
        for case, answers in found.items():
            if answers != values[first][case]:
                raise SystemExit(f"{face} and {first} give different values for case {case!r}")


def speed(pythons: Mapping[str, Path], wanted: argparse.Namespace) -> tuple[list[Row], float]:
    """Time all cases through all faces; also return how much slower this machine is."""
    reports: dict[str, list[dict[str, Any]]] = {face: [] for face in wanted.face}
    for number in range(wanted.rounds):
        progress(f"timing evaluations, round {number + 1} of {wanted.rounds} …")
        for face, found in reports.items():
            found.append(measured(pythons[FACES[face]], face))
    times = {face: processes.least([one["us"] for one in found]) for face, found in reports.items()}
    scale = times.get("official", {}).get(CASES[0].name, REFERENCE_US) / REFERENCE_US
    rows = [case_row(case, times, scale) for case in CASES]
    for threads in ("1", str(THREADS)):
        row = Row(f"B per second, {threads} thread(s)", "k/s", more_is_better=True)
        for face, found in reports.items():
            row.values[face] = max(one["threads"][threads] for one in found) / 1_000
        rows.append(row)
    return rows, scale


def case_row(case: Case, times: Times, scale: float) -> Row:
    """Return the line of one case; budgets scaled to this machine."""
    unit, divisor = ("ms", 1_000.0) if case.ask.startswith("all") else ("µs", 1.0)
    row = Row(case.name, unit)
    for face, found in times.items():
        if case.name in found:
            row.values[face] = found[case.name] / divisor
    if case.budget_us is not None:
        row.budgets["client"] = case.budget_us * scale / divisor
    if case.ask == "variation" and not case.anew and "client" in row.values:
        row.budgets["ldclient"] = row.values["client"] + FACE_BUDGET_US * scale
    return row


# --- processes ---------------------------------------------------------------------------------


def start(pythons: Mapping[str, Path], files: processes.Files, times: int) -> list[Row]:
    """Time imports, and processes until they have their first value."""
    ours = processes.import_ms(pythons["flagkeep"], "flagkeep", times)
    theirs = processes.import_ms(pythons["official"], "ldclient", times)
    face = processes.import_ms(pythons["flagkeep"], "flagkeep.ldclient", times)
    first = processes.first_value_ms(pythons, files, times)
    unwanted = processes.unwanted_modules(pythons["flagkeep"])
    note = f"brings in {', '.join(unwanted)}" if unwanted else ""
    return [
        Row("a bare Python, process start to print", "ms", {"client": first["bare"]}),
        budgeted(processes.IMPORT, ours["beyond"], theirs["beyond"], face["beyond"], note=note),
        Row(
            "… by -X importtime",
            "ms",
            {
                "client": ours["importtime"],
                "ldclient": face["importtime"],
                "official": theirs["importtime"],
            },
        ),
        budgeted(processes.FIRST_VALUE, first["flagkeep"], first["official"]),
    ]


def memory(pythons: Mapping[str, Path], files: processes.Files, times: int) -> list[Row]:
    """Weigh processes before and after they loaded the environment."""
    found = processes.memory_mb(pythons, files, times)
    ours, by_file, theirs = found["SQLite"], found["file"], found["official"]
    rows = [
        Row(
            "memory after the import",
            "MB",
            {"client": ours["before"], "official": theirs["before"]},
        ),
        budgeted(processes.MEMORY, ours["loaded"], theirs["loaded"]),
    ]
    for state in ("peak", "1,000 evaluated", "all evaluated"):
        values = {"client": ours[state], "official": theirs[state]}
        rows += [Row(f"… {state}", "MB", values)]
    values = {"client": by_file["loaded"], "official": theirs["loaded"]}
    return [*rows, Row("… from the JSON file", "MB", values)]


def on_redis(
    pythons: Mapping[str, Path], files: processes.Files, wanted: argparse.Namespace
) -> list[Row]:
    """Measure what has to do with Redis, where there is one."""
    parts = ON_REDIS & set(wanted.part)
    if parts and (what := over_redis.missing()):
        progress(f"left out: {what}")
        return []
    rows: list[Row] = []
    if "redis" in parts:
        progress("filling and reading a Redis …")
        rows += over_redis.speed(pythons, wanted.rounds)
        progress("starting and weighing processes that read a Redis …")
        rows += over_redis.whole_processes(pythons, files, wanted.rounds)
    if "outages" in parts:
        progress("letting a Redis fail …")
        rows += over_redis.outage_rows(pythons, files)
    return rows


def budgeted(
    budget: Budget, ours: float, theirs: float, face: float | None = None, *, note: str = ""
) -> Row:
    """Return the line of a measurement with a budget of its own, which no machine scales."""
    row = Row(budget.name, budget.unit, {"client": ours, "official": theirs}, note=note)
    if face is not None:
        row.values["ldclient"] = face
    row.budgets["client"] = budget.limit
    return row


if __name__ == "__main__":
    sys.exit(main())
