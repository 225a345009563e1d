"""What clients do while their store fails, and when it is back: a function for each kind of client.

The matrix says which faults they meet. A place of the fault must be there, and empty.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import pytest

from flagkeep import stores
from flagkeep._sync.client import Client
from flagkeep._sync.interfaces import FeatureStore
from flagkeep._runtime import threads as runtime
from flagkeep.config import FileSource
from flagkeep.model.status import StoreStatus
from tests._sync.waiting import PATIENCE, pause, until, until_value
from tests.limits import TookTooLong, check_took, check_within
from tests.outages.environment import USER, all_values, value
from tests.outages.fault import Back, Fault
from tests.outages.flag_file import FlagFile
from tests.outages.matrix import Cell
from tests.outages.place import Place
from tests.outages.sqlite_place import take_away

CALLS: Final = 50
AT_ONCE: Final = 0.25  # a wait for a store is longer
ON_AVERAGE: Final = 0.005
SLACK: Final = 0.5
CROWD: Final = 20
ALSO_SAID: Final = {Back.EMPTY: "lost its data", Back.OLD: "older versions"}
STORES: Final[dict[str, Callable[..., FeatureStore]]] = {
    "redis": stores.RedisStore,
    "sqlite": stores.SQLiteStore,
    "dynamodb": stores.DynamoDBStore,
    "consul": stores.ConsulStore,
}


def client_of(place: Place, cell: Cell, **config: Any) -> Client:
    """Return the client under test, with its own store there."""
    store = STORES[place.kind](**{**place.settings, **cell.fault.settings})
    return Client(cell.config(**config), store=store)


def state(client: Client) -> StoreStatus:
    status = client.status.store
    assert status is not None
    return status


def writes_fail(client: Client) -> bool:
    """Whether the store is known to be down, and to lack what is in memory."""
    status = state(client)
    return status.stale and not status.available


def ask(client: Client, expected: dict[str, Any], *, within: float) -> None:
    """Ask for one value and for all; both must be as expected, and soon enough."""
    begun = runtime.monotonic()
    seen = client.variation("main", USER, "default")
    check_within(within, since=begun)
    assert seen == expected["main"]
    begun = runtime.monotonic()
    flags = client.all_flags(USER)
    check_within(within, since=begun)
    assert flags.to_values() == expected
    begun = runtime.monotonic()
    assert client.variation("no such flag", USER, "default") == "default"
    check_within(within, since=begun)


def ask_until(
    client: Client,
    condition: Callable[[], bool],
    expected: dict[str, Any],
    *,
    within: float,
    patience: float = PATIENCE,
) -> None:
    """Go on asking until something is so."""
    give_up = runtime.monotonic() + patience
    while not condition():
        assert runtime.monotonic() < give_up, "it never became true"
        ask(client, expected, within=within)
        pause()


def ask_often(client: Client, expected: dict[str, Any]) -> None:
    """Ask again and again; not one answer may wait for anything."""
    begun = runtime.monotonic()
    for _ in range(CALLS):
        ask(client, expected, within=AT_ONCE)
    check_within(3 * CALLS * ON_AVERAGE, since=begun)


def was_read_since(client: Client, time: float) -> bool:
    """Whether the store has answered after a time, in seconds since the epoch."""
    status = state(client)
    return status.age is not None and runtime.wall_time() - status.age > time + 0.05


def check_down(client: Client, begun_at: float, made_at: float) -> None:
    """The status says that the store does not work, since when and why, and how old the data is.

    Args:
        begun_at: when it began not to work, in seconds since the epoch.
        made_at: before the client was made.
    """
    status = state(client)
    assert not status.available
    assert begun_at - 0.1 <= status.since <= runtime.wall_time()
    assert status.reason
    assert "sesame" not in status.reason
    assert status.age is not None
    assert 0 <= status.age <= runtime.wall_time() - made_at


def check_lines(
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    *,
    expected: bool | None,
    also: str | None = None,
) -> None:
    """One line when the outage began and one when it ended, or none at all; one for lost data.

    Args:
        expected: whether there was an outage; None: that was a matter of moments.
        also: what that one may say, if not what the fault's end brings with it.
    """
    lines = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "flagkeep.store" and record.levelno >= logging.WARNING
    ]
    outage = [line for line in lines if "works again" in line[1] or "until it works" in line[1]]
    whole_log = "\n".join(" ".join(line) for line in lines)
    levels = [level for level, _ in outage]
    as_expected = [[]] if expected is False else [["ERROR", "WARNING"]]
    as_expected += [[]] if expected is None else []
    if levels not in as_expected and any("no answer within" in line for _, line in outage):
        raise TookTooLong(whole_log)  # of an answer that was late by itself
    assert levels in as_expected, whole_log
    others = [message for level, message in lines if (level, message) not in outage]
    assert len(others) <= 1, whole_log
    also = also or ALSO_SAID.get(fault.back, "nothing")
    assert all(also in message for message in others), whole_log
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert {record.name for record in errors} <= {"flagkeep.store"}, errors
    assert "sesame" not in caplog.text


def a_reader(cell: Cell, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    fault = cell.fault
    place.write(1)
    place.keep_a_copy()
    place.write(2)
    made_at = runtime.wall_time()
    with client_of(place, cell, daemon=True) as client:
        if not client.wait_until_ready():
            raise TookTooLong("nothing was read in time")
        until_value(client, "main", USER, value(2))
        ask(client, all_values(2), within=PATIENCE)
        begun_at = runtime.wall_time()
        with fault.at(place):
            if fault.stops_reads:
                ask_until(
                    client,
                    lambda: not state(client).available,
                    all_values(2),
                    within=fault.deadline + SLACK,
                    patience=fault.noticed_within,
                )
                ask_often(client, all_values(2))
                check_down(client, begun_at, made_at)
                assert (client.variation_detail("main", USER, None)).data_age is not None
            else:
                ask_until(
                    client,
                    lambda: was_read_since(client, begun_at),
                    all_values(2),
                    within=fault.deadline + SLACK,
                )
                assert state(client).available
        comes_back(client, cell, place)
    check_lines(caplog, fault, expected=fault.stops_reads)


def comes_back(client: Client, cell: Cell, place: Place) -> None:
    """The fault is over: what the store has is served again, and what it lost is kept."""
    back = cell.fault.back
    if back is Back.OLD:
        until_value(client, "main", USER, value(1))
        until(lambda: state(client).rolled_back)
    else:
        if back is Back.EMPTY:
            until(lambda: state(client).wiped)
        until(lambda: state(client).available)
        ask(client, all_values(2), within=cell.fault.deadline + SLACK)
    until(lambda: state(client).available)
    assert state(client).reason == ""
    assert state(client).wiped == (back is Back.EMPTY)
    if place.pushes or cell.rereads or back is Back.EMPTY:
        place.write(3)
        until_value(client, "main", USER, value(3))
        ask(client, all_values(3), within=PATIENCE)
        until(lambda: not state(client).wiped)


def a_writer(cell: Cell, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    fault = cell.fault
    with FlagFile() as file:
        source = FileSource(file.path, force_polling=True, poll_interval=0.02)
        made_at = runtime.wall_time()
        with client_of(place, cell, source=source) as client:
            until(lambda: place.generation() == 1)
            until(lambda: state(client).age is not None and not state(client).stale)
            place.keep_a_copy()
            begun_at = runtime.wall_time()
            with fault.at(place):
                file.show(2)
                until_value(client, "main", USER, value(2))
                if fault.stops_writes:
                    ask_until(
                        client,
                        lambda: writes_fail(client),
                        all_values(2),
                        within=AT_ONCE,
                        patience=fault.noticed_within,
                    )
                    check_down(client, begun_at, made_at)
                ask_often(client, all_values(2))
                if fault.stops_writes is False:
                    until(lambda: place.generation() == 2)
            until(lambda: place.generation() == 2)
            until(lambda: state(client).available and not state(client).stale)
            file.show(3)
            until(lambda: place.generation() == 3)
            ask(client, all_values(3), within=AT_ONCE)
        # whether a look at the file comes before a write that fails is a matter of moments
        gone = "lost its data" if fault.begin is take_away else None
        check_lines(caplog, fault, expected=fault.stops_writes, also=gone)


def a_reader_that_starts_during_the_outage(
    cell: Cell, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    fault = cell.fault
    place.write(1)
    with fault.at(place) as end:
        with client_of(place, cell, daemon=True) as client:
            begun = runtime.monotonic()
            assert client.variation("main", USER, "default") == "default"
            check_within(fault.deadline + SLACK, since=begun)
            until(lambda: not state(client).available)
            for _ in range(CALLS):
                unknown(client, within=AT_ONCE)
            assert state(client).age is None
            end()
            until_value(client, "main", USER, value(1))
            until(lambda: state(client).available)
            ask(client, all_values(1), within=PATIENCE)
    check_lines(caplog, fault, expected=True)


def unknown(client: Client, *, within: float) -> None:
    """Ask for what was never read; the default must come soon enough."""
    begun = runtime.monotonic()
    assert client.variation("main", USER, "default") == "default"
    check_within(within, since=begun)
    begun = runtime.monotonic()
    assert (client.all_flags(USER)).to_values() == {}
    check_within(within, since=begun)


def a_crowd_waits_no_longer_than_one(cell: Cell, place: Place) -> None:
    answers: list[tuple[Any, float]] = []
    place.write(1)
    with client_of(place, cell, daemon=True) as client:
        until_value(client, "main", USER, value(1))

        def call() -> None:
            begun = runtime.monotonic()
            seen = client.variation("main", USER, "default")
            answers.append((seen, runtime.monotonic() - begun))

        with cell.fault.at(place):
            crowd = [runtime.spawn("crowd", call) for _ in range(CROWD)]
            for one in crowd:
                assert one.join(PATIENCE)
    assert [seen for seen, _ in answers] == [value(1)] * CROWD
    check_took(max(seconds for _, seconds in answers), cell.fault.deadline + SLACK)


def a_writer_that_starts_during_the_outage(
    cell: Cell, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flagkeep")
    fault = cell.fault
    with FlagFile() as file:
        place.write(1)
        file.show(2)
        with fault.at(place) as end:
            source = FileSource(file.path, force_polling=True, poll_interval=0.02)
            begun = runtime.monotonic()
            with client_of(place, cell, source=source) as client:
                until_value(client, "main", USER, value(2))
                check_within(fault.deadline + SLACK, since=begun)
                ask_until(
                    client,
                    lambda: writes_fail(client),
                    all_values(2),
                    within=AT_ONCE,
                    patience=fault.noticed_within,
                )
                end()
                until(lambda: place.generation() == 2)
                until(lambda: state(client).available and not state(client).stale)
        check_lines(caplog, fault, expected=True)
