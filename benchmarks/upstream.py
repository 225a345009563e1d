"""Connected clients: a stream of 10,000 flags, events at their defaults, and eight threads.

Every SDK talks to one service in a process of its own (`programs.upstream`), which has everything
that it sends ready before anybody asks.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks import flags
from benchmarks.cases import CASES
from benchmarks.interpreters import FOLDER, ROOT, clean_environment
from benchmarks.processes import Budget, Files, least, run
from benchmarks.report import Row

# Which interpreter each face of `programs.connected` runs in.
FACES: Final = {
    "client": "flagkeep",
    "async": "flagkeep",
    "ldclient": "flagkeep",
    "official": "official",
}
IN_THREADS: Final = ("client", "ldclient", "official")

STREAM_COLUMNS: Final = {
    "floor": "httpx2 + msgspec",
    "client": "Client",
    "async": "AsyncClient",
    "ldclient": "flagkeep.ldclient",
    "official": "official",
}
EVENT_COLUMNS: Final = {name: text for name, text in STREAM_COLUMNS.items() if name != "floor"}
THREAD_COLUMNS: Final = {
    "function": "a function",
    "client": "Client",
    "ldclient": "flagkeep.ldclient",
    "official": "official",
}

READY: Final = Budget("constructor to the data of 10,000 flags", 150, "ms")
RESIDENT: Final = Budget("resident memory after it", 70, "MB")
PATCH: Final = Budget("patch of one of 10,000 flags to its value", 1, "ms")
WORST: Final = Budget("8 threads that serve: worst evaluation", 20, "ms")

WITH_EVENTS_US: Final = {"A": 0.8, "B": 2.3, "C": 0.8}
"""What an evaluation may take with events on; the process's time for it at most twice that."""

REFERENCE_US: Final = 12.0
"""What the official SDK took for A with events on, where those were set."""

MORE_CPU: Final = 1.1
"""How much more processor time an evaluation may take in eight threads than in one alone, beyond
what a plain function does."""

Report = dict[str, float]


@contextmanager
def upstream(document: Path, *patched: str) -> Iterator[str]:
    """Run the service over an environment; its URL. The flag named is patched all the time."""
    program = ROOT / "benchmarks" / "programs" / "upstream.py"
    command = [sys.executable, str(program), str(document), *patched]
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


# --- the stream ---------------------------------------------------------------------------------


def stream(pythons: Mapping[str, Path], files: Files, rounds: int) -> list[Row]:
    """Time and weigh the start with 10,000 flags, and patches of one of them."""
    with upstream(files.document) as url:
        rows = _starts(pythons, url, rounds)
    with upstream(files.document, files.first) as url:
        for how, text in (("poll", "evaluated"), ("listener", "listener told")):
            rows += _patches(pythons, (url, files.first, how), text, max(1, rounds // 2))
    return rows


def _starts(pythons: Mapping[str, Path], url: str, rounds: int) -> list[Row]:
    cold: dict[str, list[dict[str, Any]]] = {face: [] for face in FACES}
    warm: dict[str, list[dict[str, Any]]] = {face: [] for face in FACES}
    floor = []
    for _ in range(rounds):
        floor.append(_answer(pythons["flagkeep"], "stream_floor", url))
        for face, sdk in FACES.items():
            cold[face].append(_answer(pythons[sdk], "stream", face, url))
            late = " ".join(cold[face][0]["late"])
            warm[face].append(_answer(pythons[sdk], "stream", face, url, said=late))
    still = {name for one in warm.values() for report in one for name in report["late"]}
    return [
        _row(
            READY.name,
            READY.unit,
            {"floor": _least(floor, "ms"), **_each(warm, "ms")},
            limit=READY.limit,
            note=f"imported late: {', '.join(sorted(still))}" if still else "",
        ),
        _row("… received only", "ms", {"floor": _least(floor, "received")}),
        _row("… with the import of the HTTP library", "ms", _each(cold, "ms")),
        _row(
            RESIDENT.name,
            RESIDENT.unit,
            {"floor": _least(floor, "resident"), **_each(cold, "resident")},
            limit=RESIDENT.limit,
        ),
        _row("… of which the data", "MB", _each(warm, "grown")),
        _row("… peak", "MB", _each(cold, "peak")),
    ]


def _patches(
    pythons: Mapping[str, Path], options: Sequence[str], text: str, rounds: int
) -> list[Row]:
    found: dict[str, list[dict[str, Any]]] = {face: [] for face in FACES}
    for _ in range(rounds):
        for face, sdk in FACES.items():
            found[face].append(_answer(pythons[sdk], "patch", face, *options))
    limit = PATCH.limit if text == "evaluated" else None
    return [
        _row(f"{PATCH.name}, {text}", PATCH.unit, _each(found, "least"), limit=limit),
        _row("… median", PATCH.unit, _each(found, "median")),
        _row("… nine in ten", PATCH.unit, _each(found, "p90")),
    ]


# --- events -------------------------------------------------------------------------------------


def events(pythons: Mapping[str, Path], rounds: int) -> tuple[list[Row], float]:
    """Time evaluations with events on; also return how much slower this machine is."""
    found: dict[str, list[Report]] = {face: [] for face in FACES}
    with upstream(_case_document()) as url:
        for _ in range(rounds):
            for face, sdk in FACES.items():
                found[face].append(_answer(pythons[sdk], "events", face, url))
    times = {face: least(reports) for face, reports in found.items()}
    scale = times["official"][CASES[0].name] / REFERENCE_US
    rows = []
    for name in times["official"]:
        row = Row(name, "µs", {face: one[name] for face, one in times.items() if name in one})
        limit = WITH_EVENTS_US.get(name[0])
        if limit is not None and name.removesuffix(", CPU") in _PROMISED:
            row.budgets["client"] = limit * scale * (2 if name.endswith(", CPU") else 1)
        rows.append(row)
    return rows, scale


_PROMISED: Final = frozenset(one.name for one in CASES)


def _case_document() -> Path:
    document = FOLDER / "cases.json"
    tracked = flags.boolean_flag("tracked") | {"trackEvents": True}
    made = {"flags": flags.case_flags() | {"tracked": tracked}, "segments": {}}
    document.write_text(json.dumps(made, separators=(",", ":")), encoding="utf-8")
    return document


# --- threads ------------------------------------------------------------------------------------


def threads(pythons: Mapping[str, Path], rounds: int) -> list[Row]:
    """Let eight threads evaluate with events on."""
    found: dict[str, list[Report]] = {face: [] for face in ("function", *IN_THREADS)}
    with upstream(_case_document()) as url:
        for _ in range(rounds):
            for face, reports in found.items():
                python = pythons[FACES.get(face, "flagkeep")]
                reports.append(_answer(python, "together", face, url))
    rows = [
        _row(WORST.name, "ms", _each(found, "serving, worst"), limit=WORST.limit),
        _row("… p99.9", "ms", _each(found, "serving, p99.9")),
        _row("8 threads that do nothing else: worst", "ms", _each(found, "busy, worst")),
        _row("… p99.9", "ms", _each(found, "busy, p99.9")),
    ]
    for how, text in (("alone", "B per second, one thread"), ("busy", "… eight threads")):
        row = _row(text, "k/s", _each(found, f"{how}, k/s", max))
        row.more_is_better = True
        rows.append(row)
    alone, busy = _each(found, "alone, CPU"), _each(found, "busy, CPU")
    usual = max(1.0, busy["function"] / alone["function"])
    rows.append(_row("processor time for each, one thread", "µs", alone))
    rows.append(_row("… eight threads", "µs", busy, limit=alone["client"] * usual * MORE_CPU))
    return rows


# --- inside -------------------------------------------------------------------------------------


def _answer(python: Path, program: str, *options: str, said: str = "") -> dict[str, Any]:
    """Return what a program prints; `said` is the first line of its standard input."""
    command: list[str | Path] = [python, "-m", f"benchmarks.programs.{program}", *options]
    found: dict[str, Any] = json.loads(run(command, f"{said}\n"))
    return found


def _least(reports: Sequence[Mapping[str, Any]], name: str) -> float:
    return min(float(one[name]) for one in reports)


def _each(found: Mapping[str, Sequence[Mapping[str, Any]]], name: str, choose: Any = min) -> Report:
    return {face: choose(float(one[name]) for one in reports) for face, reports in found.items()}


def _row(
    name: str, unit: str, values: Report, *, limit: float | None = None, note: str = ""
) -> Row:
    row = Row(name, unit, values, note=note)
    if limit is not None:
        row.budgets = {face: limit for face in ("client", "async") if face in values}
    return row
