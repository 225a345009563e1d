"""Forks of Python's own, by whatever way."""

from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.forks.program import Program, run
from tests.forks.world import World
from tests.limits import check_took

pytestmark = pytest.mark.slow

CHILDREN = 10  # as in the program


def program(way: str) -> AbstractContextManager[Program]:
    """Run a way of `programs.processes` to its end; nobody may complain."""
    return run("processes", way)


def check(said: dict[str, Any], value: str) -> None:
    """Check what a process says that has waited for a value."""
    assert said["value"] == value
    assert said["all"] == {"flag": value, "other": value}
    assert said["heard"] == value
    assert said["available"]


def test_a_bare_fork(world: World) -> None:
    with program("bare") as running:
        assert running.said("child begins")["files"] == 0
        world.write("two")
        parent, child = running.said("parent"), running.said("child")
        check(parent, "two")
        check(child, "two")

        def change() -> None:
            world.write("three")
            world.until_heard(child["process"], "three")

        world.check_apart(parent["process"], child["process"], change)
        running.go_on()
        running.ended()
        check(running.said("parent"), "three")


def test_forks_of_forks(world: World) -> None:
    with program("nested") as running:
        family = ("parent", "first", "third")
        for who in family:
            running.said(f"{who} begins")
        world.write("two")
        for who in family:
            check(running.said(who), "two")
        running.ended(3)


def test_a_child_that_closes_its_client_leaves_the_parent_alone(world: World) -> None:
    with program("closing") as running:
        for _ in range(2):
            closed = running.said("child")
            assert closed["complete"]
            check_took(closed["seconds"], 2.0)
            assert running.said("child")["value"] == "one"
            running.ended()
        running.said("parent begins")
        world.write("two")
        check(running.said("parent"), "two")


def test_a_client_that_was_closed_before_stays_closed(world: World) -> None:  # noqa: ARG001
    with program("closed_before") as running:
        child = running.said("child")
        assert child["value"] == "one"
        assert child["threads"] == []
        check_took(running.said("child")["seconds"], 1.0)
        running.ended()


def test_forks_while_other_threads_evaluate(world: World) -> None:
    with program("busy") as running:
        for _ in range(CHILDREN):
            child = running.said("child")
            assert child["value"] == "one"
            assert child["all"] == {"flag": "one", "other": "one"}
            running.ended()
        running.said("child begins")
        world.write("two")
        check(running.said("parent"), "two")
        check(running.said("child"), "two")
        running.ended()


def test_a_fork_in_the_middle_of_a_read(world: World) -> None:
    world.let_readers_wait()
    with program("in_the_middle_of_a_read") as running:
        running.said("ready")
        with world.standing_still():
            running.go_on()
            running.said("forked")
        for who in ("parent", "parent", "child"):
            assert running.said(who)["flags"] == 2
        running.said("child begins")
        running.said("parent begins")
        world.write("two")
        check(running.said("parent"), "two")
        check(running.said("child"), "two")
        running.ended()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(world: World, method: str) -> None:
    with program(f"multiprocessing_{method}") as running:
        running.said("parent begins")
        running.said("child begins")
        world.write("two")
        check(running.said("parent"), "two")
        check(running.said("child"), "two")
        running.ended()


def test_a_pool_of_processes(world: World) -> None:
    with program("pool") as running:
        running.said("child begins")
        running.said("child begins")
        world.write("two")
        for who in ("child", "child"):
            check(running.said(who), "two")
        running.said("parent begins")
        world.write("three")
        check(running.said("parent"), "three")


def test_a_client_that_is_fed_by_files(world: World) -> None:
    file = world.heard_file.with_name("flags.json")
    file.write_text('{"flagValues": {"fed": "one"}}')
    with program("fed") as running:
        for who in ("child", "parent"):
            assert running.said(f"{who} begins")["value"] == "one"
        file.write_text('{"flagValues": {"fed": "two"}}')
        for who in ("child", "parent"):
            said = running.said(who)
            assert said["value"] == "two"
            assert said["heard"] == ["two"]
            assert said["source"] == "valid"
            assert running.said(who)["complete"]
        running.ended()
        assert running.said("store")["flags"] == ["fed"]


@pytest.mark.parametrize("world", ["redis"], indirect=True)
def test_an_application_of_the_official_api(world: World) -> None:
    with program("official") as running:
        running.said("child begins")
        running.said("parent begins")
        world.write("two")
        for who in ("child", "parent"):
            assert running.said(who)["value"] == "two"
        running.ended()


def test_an_async_client_that_is_made_before(world: World) -> None:
    with program("asyncio_before") as running:
        running.said("child begins")
        running.said("parent begins")
        world.write("two")
        assert running.said("child")["value"] == "two"
        running.ended()


def test_an_async_client_whose_loop_forks(world: World) -> None:
    with program("asyncio_within") as running:
        assert running.said("parent")["value"] == "one"
        running.said("child begins")
        world.write("two")
        for who in ("parent", "child", "parent"):
            assert running.said(who)["value"] == "two"
        check_took(running.said("closed")["seconds"], 2.0)
        running.ended()
