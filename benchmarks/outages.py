"""What evaluations take while a Redis fails, for flags that were read before.

Each fault begins a second after the program that evaluates has said that it is ready, and lasts
until that is done: what is measured is the second before, the beginning, and what comes of it.
"""

import json
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.interpreters import ROOT, clean_environment
from benchmarks.report import Row
from tests.servers.proxy import FaultProxy
from tests.servers.redis import RedisServer

BUDGET_MS: Final = 5.0
BEGINS_AFTER: Final = 1.0
ENOUGH: Final = 10_000  # evaluations: fewer say nothing of one in a thousand
LASTS: Final = 10.0  # at most: what hangs until the end of the outage must have an end
LATE: Final = 3.0
# The shorter one runs out during the outage.
CACHES: Final = {"TTL": "2", "infinite": "inf"}
FACES: Final = ("client", "async", "official")

Found = dict[str, float]


@dataclass(frozen=True, slots=True)
class Place:
    """A server, and the proxy in front of it."""

    server: RedisServer
    proxy: FaultProxy


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to a server.

    Attributes:
        name: how the table calls it.
        begin: does the harm.
        end: undoes it.
        by_proxy: whether clients must go through the proxy.
    """

    name: str
    begin: Callable[[Place], object]
    end: Callable[[Place], object]
    by_proxy: bool = False

    def url(self, place: Place) -> str:
        """Return where clients are to connect to."""
        port = place.proxy.port if self.by_proxy else place.server.port
        return f"redis://127.0.0.1:{port}/0"


def _heal(place: Place) -> None:
    place.proxy.pass_on()


FAULTS: Final = (
    Fault("killed", lambda place: place.server.kill(), lambda place: place.server.start()),
    Fault("SIGSTOP", lambda place: place.server.pause(), lambda place: place.server.resume()),
    Fault("refused", lambda place: place.proxy.refuse(), _heal, by_proxy=True),
    Fault("replies 3 s late", lambda place: place.proxy.delay(LATE), _heal, by_proxy=True),
)


def rows(pythons: Mapping[str, Path], server: RedisServer, keys: Sequence[str]) -> list[Row]:
    """Measure every fault with every cache; `server` holds the flags, and has saved them."""
    found = []
    with FaultProxy(server.port) as proxy:
        place = Place(server, proxy)
        for fault in FAULTS:
            for cache, seconds in CACHES.items():
                results = {}
                for face in FACES:
                    command = [*_program(pythons, face), fault.url(place), seconds]
                    results[face] = _during(fault, place, command, keys)
                found += _rows_of(f"{fault.name}, {cache}", results)
    return found


def _rows_of(name: str, results: Mapping[str, Found]) -> list[Row]:
    usual = Row(f"{name}: p99.9", "ms", {face: one["p99.9"] for face, one in results.items()})
    usual.budgets = {"client": BUDGET_MS, "async": BUDGET_MS}
    fewest = min(results[face]["count"] for face in usual.budgets)
    if fewest < ENOUGH:
        usual.note = f"{fewest} evaluations are too few"
    longest = Row("… longest", "ms", {face: one["longest"] for face, one in results.items()})
    wrong = Row("… another value", "%", {face: one["wrong"] for face, one in results.items()})
    wrong.budgets = {"client": 0.0, "async": 0.0}
    return [usual, longest, wrong]


def _program(pythons: Mapping[str, Path], face: str) -> list[str]:
    module = "outage_official" if face == "official" else "outage_flagkeep"
    python = pythons["official" if face == "official" else "flagkeep"]
    words = [str(python), "-m", f"benchmarks.programs.{module}"]
    return words if face == "official" else [*words, face]


def _during(fault: Fault, place: Place, command: list[str], keys: Sequence[str]) -> Found:
    """Return what a program measured while the fault happened."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(*keys, file=process.stdin, flush=True)
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{' '.join(command)} did not become ready")
        time.sleep(BEGINS_AFTER)
        fault.begin(place)
        try:
            select.select([process.stdout], [], [], LASTS)
        finally:
            fault.end(place)
        found: Found = json.loads(process.stdout.readline())
    return found
