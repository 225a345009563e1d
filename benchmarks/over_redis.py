"""The Redis store beside plain redis-py and beside the official SDK, on a server of its own."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks import comparisons, interpreters, outages, processes
from benchmarks.comparisons import Comparison
from benchmarks.processes import Files
from benchmarks.report import Row
from tests.servers.redis import RedisServer

COLUMNS: Final = {
    "plain": "redis-py",
    "client": "Client",
    "async": "AsyncClient",
    "official": "official",
}

COMPARISONS: Final = (
    Comparison("filling 10,000 flags of 1 KB / HSET", "HSET", "replace", "ms", 1.5),
    Comparison("one uncached flag / HGET", "HGET", "variation", "µs", 1.2),
    Comparison("… with asyncio", "async HGET", "async variation", "µs"),
    Comparison("all flags, cache off / HGETALL", "HGETALL", "all_flags", "ms", 3.0),
    Comparison("… with asyncio", "async HGETALL", "async all_flags", "ms"),
    Comparison("… the first time", "", "all_flags, first", "ms"),
)


def missing() -> str:
    """Return what has to be installed; `""` if nothing."""
    if any(shutil.which(program) for program in RedisServer.programs):
        return ""
    return f"no {' or '.join(RedisServer.programs)}: {RedisServer.install}"


def heading(pythons: Mapping[str, Path]) -> str:
    """Return what was compared."""
    versions = {
        name: interpreters.version_of(interpreters.REDIS, python)
        for name, python in pythons.items()
    }
    return f"Redis on loopback; redis-py {versions['flagkeep']}, official {versions['official']}"


def speed(pythons: Mapping[str, Path], rounds: int) -> list[Row]:
    """Time single commands."""
    programs = {"flagkeep": "redis_speed", "official": "redis_speed_official"}
    with RedisServer() as server:
        found = comparisons.in_turn(
            {
                sdk: (pythons[sdk], "-m", f"benchmarks.programs.{program}", server.url, "3")
                for sdk, program in programs.items()
            },
            rounds,
        )
    return comparisons.rows(COMPARISONS, found["flagkeep"], found["official"])


def whole_processes(pythons: Mapping[str, Path], files: Files, rounds: int) -> list[Row]:
    """Time and weigh whole processes."""
    with RedisServer() as server:
        processes.fill(pythons["flagkeep"], files, server.url)
        first = processes.redis_first_value_ms(pythons, server.url, files, rounds * 3)
        memory = processes.redis_memory_mb(pythons, server.url, files, max(1, rounds // 2))
    start = Row(processes.REDIS_FIRST_VALUE.name, processes.REDIS_FIRST_VALUE.unit)
    start.values = {
        "plain": first["import redis"],
        "client": first["flagkeep"],
        "official": first["official"],
    }
    start.budgets["client"] = first["import redis"] + processes.REDIS_FIRST_VALUE.limit
    ours, theirs = memory["flagkeep"], memory["official"]
    held = Row(processes.REDIS_MEMORY.name, processes.REDIS_MEMORY.unit)
    held.values["client"] = ours["loaded"]
    held.budgets["client"] = processes.REDIS_MEMORY.limit
    rows = [start, held]
    for state in ("peak", "all evaluated"):
        values = {"client": ours[state], "official": theirs[state]}
        rows.append(Row(f"… {state}", "MB", values))
    return rows


def outage_rows(pythons: Mapping[str, Path], files: Files) -> list[Row]:
    """Let a server fail in every way."""
    with RedisServer() as server:
        processes.fill(pythons["flagkeep"], files, server.url)
        server.cli("SAVE")  # it comes back with what it had
        return outages.rows(pythons, server, files.some)
