"""Whole processes, timed and weighed from outside: import, first value, memory."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import environment
from benchmarks.interpreters import FOLDER, ROOT, clean_environment

PROGRAMS: Final = ROOT / "benchmarks" / "programs"

# None of these may come with `import flagkeep`: drivers are imported when they are used.
UNWANTED: Final = (
    "asyncio",
    "ssl",
    "http.client",
    "httpx",
    "httpx2",
    "sqlite3",
    "yaml",
    "watchfiles",
)

BARE: Final = ("-c", "print(True, flush=True)")
EVALUATED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Budget:
    """What a measurement of `flagkeep` may come to, in the unit of its name."""

    name: str
    limit: float
    unit: str


IMPORT: Final = Budget("import flagkeep, beyond a bare Python", 60, "ms")
FIRST_VALUE: Final = Budget("process start to first value of 10,000 flags", 90, "ms")
MEMORY: Final = Budget("memory for those 10,000 flags", 60, "MB")
REDIS_MEMORY: Final = Budget("memory for 10,000 flags of 1.1 KB", 60, "MB")
REDIS_FIRST_VALUE: Final = Budget("process start to first value of 10,000 flags", 40, "ms")


@dataclass(frozen=True, slots=True)
class Files:
    """The environment of 10,000 flags as each SDK reads it.

    Attributes:
        document: JSON.
        database: SQLite.
        first: the key of the flag that a starting process asks for.
        some: 1,000 other keys.
    """

    document: Path
    database: Path
    first: str
    some: tuple[str, ...]


def prepare(flagkeep: Path) -> Files:
    """Write the environment into `.bench/`; the database anew, with the flagkeep of now."""
    document = FOLDER / "environment.json"
    made = environment.environment()
    document.write_text(json.dumps(made, separators=(",", ":")), encoding="utf-8")
    database = FOLDER / "environment.db"
    for leftover in FOLDER.glob("environment.db*"):
        leftover.unlink()
    flags = made["flags"]
    some = tuple(flags)[:: len(flags) // EVALUATED][:EVALUATED]
    files = Files(document, database, environment.first_flag(flags), some)
    fill(flagkeep, files, database)
    return files


def fill(flagkeep: Path, files: Files, place: Path | str) -> None:
    """Put the environment into a SQLite file, or the Redis of a URL."""
    run([flagkeep, PROGRAMS / "fill.py", files.document, place])


def run(command: Sequence[str | Path], said: str = "") -> str:
    """Return what a program prints, told `said`; its own complaints go to our standard error."""
    done = subprocess.run(
        [str(word) for word in command],
        check=True,
        cwd=ROOT,
        env=clean_environment(),
        input=said,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def first_line_ms(command: Sequence[str | Path], expected: str | None = None) -> float:
    """Return the milliseconds from before the fork until the program's first line is here."""
    words = [str(word) for word in command]
    started = time.perf_counter()
    with subprocess.Popen(
        words, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        taken = time.perf_counter() - started
        process.stdout.read()
    if process.returncode or line != (expected or line):
        raise SystemExit(f"{' '.join(words)} printed {line!r} and ended with {process.returncode}")
    return taken * 1_000


def import_ms(python: Path, package: str, times: int) -> dict[str, float]:
    """Return the least time of a process that imports `package`, and of one that does not.

    Both in turn, so that a busy moment of the machine meets both.
    """
    imported = ("-c", f"import {package}; print(True, flush=True)")
    commands = {"bare": (python, *BARE), "imported": (python, *imported)}
    least = minima(commands, first_line_ms, times)
    return {
        "bare": least["bare"],
        "beyond": least["imported"] - least["bare"],
        "importtime": min(importtime_ms(python, package) for _ in range(times)),
    }


def importtime_ms(python: Path, package: str) -> float:
    """Return what `-X importtime` says of `package` with everything it imports."""
    command = [str(python), "-X", "importtime", "-c", f"import {package}"]
    done = subprocess.run(
        command, check=True, cwd=ROOT, env=clean_environment(), capture_output=True, text=True
    )
    found = re.findall(rf"\|\s+(\d+) \| {re.escape(package)}$", done.stderr, re.MULTILINE)
    return int(found[-1]) / 1_000


def unwanted_modules(python: Path) -> list[str]:
    """Return what `import flagkeep` should not bring in, and does."""
    text = run([python, "-c", "import flagkeep, sys; print(*sys.modules)"])
    return [name for name in UNWANTED if name in text.split()]


def first_value_ms(pythons: Mapping[str, Path], files: Files, times: int) -> dict[str, float]:
    """Return the least time until the first value, of both SDKs and of a Python that has none."""
    ours, theirs = pythons["flagkeep"], pythons["official"]
    commands = {
        "bare": (ours, *BARE),
        "flagkeep": (ours, PROGRAMS / "first_value_flagkeep.py", files.database, files.first),
        "official": (theirs, PROGRAMS / "first_value_official.py", files.document, files.first),
    }
    return minima(commands, lambda command: first_line_ms(command, "True"), times)


def memory_mb(pythons: Mapping[str, Path], files: Files, times: int) -> dict[str, Any]:
    """Return, by way of loading, the least MB that each state adds to a process."""
    some = ",".join(files.some)
    program = "benchmarks.programs.memory_"
    commands: dict[str, tuple[str | Path, ...]] = {
        "SQLite": (pythons["flagkeep"], "-m", f"{program}flagkeep", "sqlite", files.database, some),
        "file": (pythons["flagkeep"], "-m", f"{program}flagkeep", "file", files.document, some),
        "official": (pythons["official"], "-m", f"{program}official", files.document, some),
    }
    return {
        name: least([json.loads(run(command)) for _ in range(times)])
        for name, command in commands.items()
    }


def redis_first_value_ms(
    pythons: Mapping[str, Path], url: str, files: Files, times: int
) -> dict[str, float]:
    """Return the same out of a Redis, and the time of a process that only imports redis-py."""
    ours, theirs = pythons["flagkeep"], pythons["official"]
    program = "benchmarks.programs.first_value_official_redis"
    commands: dict[str, tuple[str | Path, ...]] = {
        "import redis": (ours, "-c", "import redis; print(True, flush=True)"),
        "flagkeep": (ours, PROGRAMS / "first_value_flagkeep.py", url, files.first),
        "official": (theirs, "-m", program, url, files.first),
    }
    return minima(commands, lambda command: first_line_ms(command, "True"), times)


def redis_memory_mb(
    pythons: Mapping[str, Path], url: str, files: Files, times: int
) -> dict[str, Any]:
    """Return the least MB that each state adds to a process that reads a Redis."""
    some = ",".join(files.some)
    program = "benchmarks.programs.memory_"
    commands: dict[str, tuple[str | Path, ...]] = {
        "flagkeep": (pythons["flagkeep"], "-m", f"{program}flagkeep", "redis", url, some),
        "official": (pythons["official"], "-m", f"{program}official_redis", url),
    }
    return {
        name: least([json.loads(run(command)) for _ in range(times)])
        for name, command in commands.items()
    }


def least(reports: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the least value of each name."""
    return {name: min(report[name] for report in reports) for name in reports[0]}


def minima(
    commands: Mapping[str, Sequence[str | Path]],
    measure: Callable[[Sequence[str | Path]], float],
    times: int,
) -> dict[str, float]:
    """Return the least of `times` measurements of each command, taken in turn."""
    return least(
        [{name: measure(command) for name, command in commands.items()} for _ in range(times)]
    )
