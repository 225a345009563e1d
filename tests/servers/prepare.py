"""Fetch and build the servers before tests need them.

`python -m tests.servers.prepare [NAME...]` makes those that are named, or all. A test has a time
limit, and to build Consul takes longer.
"""

import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from tests.servers import consul, dynamodb
from tests.servers.kept import NotMade

MADE_BY: Final[Mapping[str, Callable[[], Path]]] = {
    "dynamodb": dynamodb.jars,
    "consul": consul.program,
}
PLACES: Final[Mapping[str, Callable[[], Path]]] = {
    "dynamodb": dynamodb.place,
    "consul": consul.place,
}
# The fixtures that need them; of some, only where no address is given.
NEEDED_BY: Final[Mapping[str, str]] = {
    "dynamodb_here": "dynamodb",
    "consul_here": "consul",
    "consul_cluster": "consul",
}
SHARED: Final[Mapping[str, str]] = {
    "dynamodb_server": "dynamodb",
    "dynamodb_url": "dynamodb",
    "consul_server": "consul",
    "consul_url": "consul",
}
GIVEN: Final[Mapping[str, Callable[[], str | None]]] = {
    "dynamodb": dynamodb.given_url,
    "consul": consul.given_url,
}


def needed_by(fixtures: Collection[str]) -> set[str]:
    """Return the names of the servers that these fixtures need."""
    wanted = {NEEDED_BY[one] for one in fixtures if one in NEEDED_BY}
    shared = {SHARED[one] for one in fixtures if one in SHARED}
    return wanted | {name for name in shared if GIVEN[name]() is None}


def used_by(fixtures: Collection[str]) -> set[str]:
    """Return the names of the servers that these fixtures are about, wherever they are."""
    of_fixtures = {**NEEDED_BY, **SHARED}
    return {of_fixtures[one] for one in fixtures if one in of_fixtures}


def missing() -> set[str]:
    """Return the names of the servers that are yet to be fetched or built."""
    return {name for name, place in PLACES.items() if not place().exists()}


def prepare(names: Collection[str]) -> dict[str, str]:
    """Make what is not there yet; returns why, for each that cannot be had."""
    failures = {}
    for name in names:
        try:
            MADE_BY[name]()
        except NotMade as exc:
            failures[name] = str(exc)
    return failures


def main() -> int:
    """Make those that are named, or all."""
    failures = prepare(sys.argv[1:] or list(MADE_BY))
    for name, why in failures.items():
        print(f"{name}: {why}", file=sys.stderr)
    return 1 if failures and os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
