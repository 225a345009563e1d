"""The stores in DynamoDB and Consul beside their bare drivers, on servers of their own.

The official SDK's stores come from the environment of the tests of interoperation, with the
versions of boto3 and python-consul that those have fixed.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import comparisons, interpreters
from benchmarks.comparisons import Comparison
from benchmarks.report import Row
from tests import outward
from tests.interop import packages
from tests.servers.consul import ConsulServer
from tests.servers.dynamodb import DynamoDBServer
from tests.servers.kept import NotMade
from tests.servers.prepare import MADE_BY

COLUMNS: Final = {
    "plain": "compared with",
    "client": "Client",
    "async": "AsyncClient",
    "official": "official",
}
FILL: Final = 1.2
REFILL: Final = 0.1
READ: Final = 1.3


@dataclass(frozen=True, slots=True)
class Database:
    """A kind of server.

    Attributes:
        title: how the table calls it.
        server: is one.
        drivers: the packages whose versions the table names, of flagkeep's side and the other.
        comparisons: the lines of the table.
        inner_rounds: how often a program lets all have their turn.
    """

    title: str
    server: type[DynamoDBServer] | type[ConsulServer]
    drivers: tuple[str, str]
    comparisons: tuple[Comparison, ...]
    inner_rounds: int


FLAGS: Final = "filling 10,000 flags of 1 KB"
OWN_TIME: Final = "… processor time of the process that asks"
AGAIN: Final = "again, nothing changed"
BATCHES: Final = "batch_write_item"
PLAIN: Final = "transactions by http.client"


def _filled(plain: str, ours: str) -> tuple[Comparison, Comparison]:
    """Return the lines about one way to fill a database."""
    name = f"… with asyncio / {plain}" if ours.startswith("async ") else f"{FLAGS} / {plain}"
    return (
        Comparison(name, plain, ours, "ms", FILL),
        Comparison(OWN_TIME, plain, ours, "ms", of_process=True),
    )


def _read(plain: str, ours: str, times: float | None = READ) -> tuple[Comparison, Comparison]:
    """Return the lines about one way to read a flag."""
    name = f"one uncached flag / {plain}"
    if ours.startswith("async "):
        name = f"… with asyncio / {plain}"
    return (
        Comparison(name, plain, ours, "µs", times),
        Comparison(OWN_TIME, plain, ours, "µs", of_process=True),
    )


DATABASES: Final = {
    "dynamodb": Database(
        "DynamoDB Local",
        DynamoDBServer,
        ("boto3", "boto3"),
        (
            *_filled(BATCHES, "replace"),
            *_filled(BATCHES, "async replace"),
            # A slow fill of ours must not give the refill more time.
            Comparison(f"{AGAIN} / {BATCHES}", BATCHES, "refill", "ms", REFILL),
            Comparison("… by a new store", BATCHES, "refill, new store", "ms", REFILL),
            Comparison("… with asyncio", BATCHES, "async refill", "ms", REFILL),
            *_read("get_item", "variation"),
            Comparison("… by the store alone / get_item", "get_item", "get_many", "µs", READ),
            *_read("async get_item", "async variation"),
        ),
        inner_rounds=2,
    ),
    "consul": Database(
        "Consul",
        ConsulServer,
        ("httpx2", "python-consul"),
        (
            *_filled("transactions", "replace"),
            *_filled(PLAIN, "replace"),
            *_filled("async transactions", "async replace"),
            *_filled(PLAIN, "async replace"),
            Comparison(f"{AGAIN} / filling", "replace", "refill", "ms"),
            *_read("GET", "variation"),
            Comparison("… by the store alone / GET", "GET", "get_many", "µs", READ),
            *_read("GET by http.client", "variation", None),
            *_read("async GET", "async variation"),
        ),
        inner_rounds=3,
    ),
}


def missing(name: str) -> str:
    """Return why there can be no such server; `""` if there can."""
    try:
        MADE_BY[name]()
    except NotMade as exc:
        return str(exc)
    if name == "dynamodb" and shutil.which("java") is None:
        return f"no java: {DynamoDBServer.install}"
    return ""


def official() -> Path:
    """Return the Python that has the official SDK with all drivers."""
    outward.close()
    return Path(packages.python()[0])


def heading(name: str, flagkeep: Path, theirs: Path) -> str:
    """Return what was compared."""
    database = DATABASES[name]
    driver, their_driver = database.drivers
    return (
        f"{database.title} on loopback; {driver} {interpreters.version_of(driver, flagkeep)},"
        f" official {their_driver} {interpreters.version_of(their_driver, theirs)}"
    )


def rows(name: str, flagkeep: Path, theirs: Path, rounds: int) -> list[Row]:
    """Measure a store."""
    database = DATABASES[name]
    program = "benchmarks.programs."
    with database.server() as server:
        commands: Mapping[str, tuple[str | Path, ...]] = {
            "flagkeep": (flagkeep, "-m", f"{program}{name}_speed", server.url,
                         str(database.inner_rounds)),
            "official": (theirs, "-m", f"{program}store_speed_official", name, server.url, "1"),
        }  # fmt: skip
        found = comparisons.in_turn(commands, rounds)
    return comparisons.rows(database.comparisons, found["flagkeep"], found["official"])
