"""The outage matrix: Redis and SQLite."""

from collections.abc import Iterator

import pytest

from tests._sync import outage_scenarios as scenarios
from tests.outages import redis_place, sqlite_place
from tests.outages.fault import Mode
from tests.outages.matrix import (
    Cell,
    cells,
    cold_cells,
    cold_writer_cells,
    crowd_cells,
    item_cells,
)
from tests.outages.place import Place

FAULTS = (*redis_place.FAULTS, *sqlite_place.FAULTS)


@pytest.fixture
def place(cell: Cell) -> Iterator[Place]:
    """Where the fault of this test is about to happen."""
    with cell.fault.place() as place:
        yield place


@pytest.mark.parametrize("cell", [*cells(FAULTS, Mode.DAEMON), *item_cells(FAULTS)])
def test_a_reader(cell: Cell, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    scenarios.a_reader(cell, place, caplog)


@pytest.mark.parametrize("cell", cells(FAULTS, Mode.FED))
def test_a_writer(cell: Cell, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    scenarios.a_writer(cell, place, caplog)


@pytest.mark.parametrize("cell", cold_cells(FAULTS))
def test_a_reader_that_starts_during_the_outage(
    cell: Cell, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    scenarios.a_reader_that_starts_during_the_outage(cell, place, caplog)


@pytest.mark.parametrize("cell", crowd_cells(FAULTS))
def test_a_crowd_waits_no_longer_than_one(cell: Cell, place: Place) -> None:
    scenarios.a_crowd_waits_no_longer_than_one(cell, place)


@pytest.mark.parametrize("cell", cold_writer_cells(FAULTS))
def test_a_writer_that_starts_during_the_outage(
    cell: Cell, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    scenarios.a_writer_that_starts_during_the_outage(cell, place, caplog)
