"""Clients with a stream and events, and forks of Python's own, by whatever way."""

import pytest

from tests.forks.family import INSTANCE, Family
from tests.forks.program import Program, run

pytestmark = pytest.mark.slow

CHILDREN = 8  # as in the program

STREAMING, SQLITE, REDIS, POLLING = (
    "streaming", "streaming sqlite", "streaming redis", "polling",
)  # fmt: skip
EVERYWHERE = pytest.mark.parametrize("family", [STREAMING, SQLITE, REDIS], indirect=True)


def check(running: Program, family: Family, *names: str, silent: int = 0) -> None:
    """Each of those who live has a stream of its own and ends in peace."""
    said = [running.said(f"{name} begins") for name in names]
    assert [(one["ready"], one["value"]) for one in said] == [(True, "one")] * len(said)
    assert len({one["process"] for one in said}) == len(said)
    family.check_streams(len(said) + silent)
    assert {one["instance"] for one in said} <= set(family.instances())
    everybody = {one["process"] for one in said}
    family.change_reaches(everybody, silent=silent)
    family.set("over")
    for name in names:
        assert running.said(name)["value"] == "over"


def check_end(family: Family) -> None:
    family.upstream.wait_for_streams(0)
    family.check_events()
    family.check_store("over")


@EVERYWHERE
def test_a_bare_fork(family: Family) -> None:
    with run("connected_processes", "bare") as running:
        check(running, family, "parent", "child")
        running.ended()
    check_end(family)


@EVERYWHERE
def test_forks_of_forks(family: Family) -> None:
    with run("connected_processes", "nested") as running:
        check(running, family, "parent", "first", "third", silent=1)
        running.ended(3)
    check_end(family)


@pytest.mark.parametrize("family", [STREAMING, SQLITE], indirect=True)
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(family: Family, method: str) -> None:
    with run("connected_processes", f"multiprocessing_{method}") as running:
        check(running, family, "parent", "child")
        running.ended()
    check_end(family)


def test_a_pool_of_processes(family: Family) -> None:
    with run("connected_processes", "pool") as running:
        check(running, family, "child", "child", silent=1)
        running.ended(2)
    check_end(family)


def test_a_child_that_closes_its_client_leaves_the_parent_alone(family: Family) -> None:
    with run("connected_processes", "closing") as running:
        for _ in range(2):
            closed = running.said("child")
            assert (closed["complete"], closed["lost"]) == (True, {})
            running.ended()
        parent = running.said("parent begins")
        family.upstream.wait_for_streams(1)
        assert family.instances()[0] == parent["instance"]
        assert family.instances().count(parent["instance"]) == 1
        family.change_reaches({parent["process"]})
        family.set("over")
        running.said("parent")
    check_end(family)


@EVERYWHERE
def test_forks_while_threads_evaluate_and_the_flag_changes(family: Family) -> None:
    with run("connected_processes", "busy") as running:
        instances = set()
        for number in range(CHILDREN):
            family.set(f"busy-{number}")
            child = running.said("child")
            assert child["ready"]
            instances.add(child["instance"])
            running.ended()
            running.said("parent")
        parent = running.said("parent begins")
        assert len(instances | {parent["instance"]}) == CHILDREN + 1
        family.upstream.wait_for_streams(1)
        assert family.instances().count(parent["instance"]) == 1
        family.change_reaches({parent["process"]})
        family.set("over")
        running.said("parent")
    check_end(family)


def test_a_fork_while_the_upstream_leaves_a_stream_without_an_answer(family: Family) -> None:
    with run("connected_processes", "later") as running:
        running.said("waits")
        family.upstream.hold_streams()
        family.upstream.drop_streams()
        family.upstream.wait_for_request("/all", 2)
        running.go_on()
        family.upstream.wait_for_request("/all", 3)
        family.upstream.release_streams()
        check_reconnected(running, family)
    check_end(family)


def test_a_fork_while_the_upstream_is_away(family: Family) -> None:
    with run("connected_processes", "later") as running:
        running.said("waits")
        family.upstream.stop_listening()
        family.upstream.drop_streams()
        running.go_on()
        family.upstream.start_listening()
        check_reconnected(running, family)
    check_end(family)


def check_reconnected(running: Program, family: Family) -> None:
    parent, child = running.said("parent begins"), running.said("child begins")
    family.upstream.wait_for_streams(2, timeout=20)
    assert set(family.instances()) == {parent["instance"], child["instance"]}
    assert len(family.instances()) == 3
    family.change_reaches({parent["process"], child["process"]})
    family.set("over")
    running.ended()


@pytest.mark.parametrize("family", [POLLING, f"{POLLING} sqlite"], indirect=True)
def test_a_client_that_polls(family: Family) -> None:
    with run("connected_processes", "polling") as running:
        running.said("waits")
        family.set("two")
        running.go_on()
        assert running.said("child begins")["value"] in {"one", "two"}
        child = running.said("child")
        assert child["value"] == "two"
        running.ended()
        parent = running.said("parent")
        assert parent["value"] == "one"
    polls = family.upstream.requests_to("/sdk/latest-all")
    assert [poll.headers[INSTANCE] for poll in polls] == [parent["instance"], child["instance"]]
    assert polls[0].connection != polls[1].connection
    family.check_events()
    family.check_store("two")


def test_an_async_client_that_is_made_before(family: Family) -> None:
    with run("connected_processes", "asyncio_before") as running:
        check_loops(running, family, ever=3)
    check_end(family)


def test_an_async_client_whose_loop_forks(family: Family) -> None:
    with run("connected_processes", "asyncio_within") as running:
        check_loops(running, family, ever=3)
    check_end(family)


def check_loops(running: Program, family: Family, *, ever: int) -> None:
    parent, child = running.said("parent begins"), running.said("child begins")
    for one in (parent, child):
        assert (one["ready"], one["value"]) == (True, "one")
    family.check_streams(2, ever=ever)
    assert parent["instance"] != child["instance"]
    family.change_reaches({parent["process"], child["process"]})
    family.set("over")
    for who in ("parent", "child"):
        assert running.said(who)["value"] == "over"
    running.ended()
