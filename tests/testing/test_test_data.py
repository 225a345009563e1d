"""Test data: what the builders make, and that clients have it when `update` returns."""

import threading
from typing import Any

import pytest

from flagkeep._async.client import AsyncClient
from flagkeep._sync.client import Client
from flagkeep.config import Config
from flagkeep.errors import InvalidItem
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import parse_json
from flagkeep.model.context import Context
from flagkeep.model.status import SourceState
from flagkeep.model.values import NotJson
from flagkeep.storage.items import is_newer
from flagkeep.testing import FlagBuilder, TestData

USER = Context.create("user-key")


@pytest.fixture
def data() -> TestData:
    return TestData()


# --- builders ----------------------------------------------------------------------------------


def test_a_new_flag_is_true_for_everybody_and_false_when_off() -> None:
    flag = FlagBuilder("f").build(1)
    assert flag["on"] is True
    assert flag["variations"] == [True, False]
    assert (flag["fallthrough"], flag["offVariation"]) == ({"variation": 0}, 1)


def test_booleans_stand_for_variations_and_make_the_flag_boolean() -> None:
    flag = FlagBuilder("f").variations("a", "b", "c").off_variation(2)
    assert flag.build(1)["variations"] == ["a", "b", "c"]
    flag.fallthrough_variation(False)
    whole = flag.build(1)
    assert whole["variations"] == [True, False]
    assert (whole["fallthrough"], whole["offVariation"]) == ({"variation": 1}, 1)


def test_one_variation_for_all_clears_rules_and_targets() -> None:
    flag = FlagBuilder("f").on(False).variation_for_user("u", False)
    flag.if_match("name", "x").then_return(False).variation_for_all(True)
    whole = flag.build(1)
    assert whole["on"] is True
    assert whole["rules"] == whole["targets"] == whole["contextTargets"] == []
    assert whole["fallthrough"] == {"variation": 0}


def test_one_value_for_all_is_the_only_variation() -> None:
    whole = FlagBuilder("f").value_for_all({"a": [1]}).build(1)
    assert (whole["variations"], whole["fallthrough"]) == ([{"a": [1]}], {"variation": 0})


def test_targets_of_users_and_other_kinds() -> None:
    """Vector of the Python API compatibility list."""
    flag = FlagBuilder("f").variations("a", "b", "c")
    whole = flag.variation_for_user("u", 2).variation_for_key("org", "o", 0).build(1)
    assert whole["targets"] == [{"variation": 2, "values": ["u"]}]
    assert whole["contextTargets"] == [
        {"contextKind": "user", "variation": 2, "values": []},
        {"contextKind": "org", "variation": 0, "values": ["o"]},
    ]


def test_a_key_is_the_target_of_one_variation_only() -> None:
    flag = FlagBuilder("f").variation_for_user("u", True).variation_for_user("w", True)
    whole = flag.variation_for_user("u", False).build(1)
    assert whole["targets"] == [
        {"variation": 0, "values": ["w"]},
        {"variation": 1, "values": ["u"]},
    ]


def test_rules_have_one_clause_per_condition_and_numbered_ids() -> None:
    flag = (
        FlagBuilder("f")
        .if_match("country", "gb", "fr")
        .and_not_match("name", "x")
        .then_return(False)
    )
    flag.if_not_match_context("org", "tier", 3).and_match_context("org", "size", 1).then_return(
        True
    )
    first, second = flag.build(1)["rules"]
    assert (first["id"], first["variation"]) == ("rule0", 1)
    user = {"contextKind": "user", "op": "in"}
    assert first["clauses"] == [
        user | {"attribute": "country", "values": ["gb", "fr"], "negate": False},
        user | {"attribute": "name", "values": ["x"], "negate": True},
    ]
    assert (second["id"], second["variation"]) == ("rule1", 0)
    assert [clause["negate"] for clause in second["clauses"]] == [True, False]
    assert flag.clear_rules().clear_targets().build(1)["rules"] == []


def test_what_is_built_shares_nothing_with_the_builder_or_the_caller() -> None:
    value = {"a": [1]}
    flag = FlagBuilder("f").variations(value)
    value["a"].append(2)
    whole = flag.build(1)
    whole["variations"][0]["a"].append(3)
    assert flag.build(1)["variations"] == [{"a": [1]}]


def test_values_that_are_no_json_are_refused() -> None:
    with pytest.raises(NotJson):
        FlagBuilder("f").variations(float("nan"))


def test_a_built_flag_has_what_readers_in_other_languages_demand(data: TestData) -> None:
    text = data.update(data.flag("f")).data().flags["f"].data
    assert parse_json(text).keys() >= {"deleted", "trackEvents", "trackEventsFallthrough", "salt"}


# --- the data ----------------------------------------------------------------------------------


def test_flag_starts_from_what_was_last_updated(data: TestData) -> None:
    first = data.flag("f").variations("a", "b").variation_for_user("u", 1)
    data.update(first)
    first.variation_for_user("u", 0)  # too late to change anything
    again = data.flag("f")
    assert again.build(1)["targets"] == [{"variation": 1, "values": ["u"]}]
    again.variation_for_user("u", 0)
    assert data.flag("f").build(1)["targets"] == [{"variation": 1, "values": ["u"]}]


def test_versions_grow_with_every_change(data: TestData) -> None:
    for _ in range(3):
        data.update(data.flag("f"))
    assert data.data().flags["f"].version == 3
    data.delete("f")
    assert (data.data().flags["f"].version, data.data().flags["f"].deleted) == (4, True)
    data.update(data.flag("f"))
    assert data.data().flags["f"].version == 5
    data.use_preconfigured_flag({"key": "f", "version": 2})
    data.use_preconfigured_flag({"key": "f", "version": 20})
    assert data.data().flags["f"].version == 20


def test_whole_flags_and_segments_are_taken_as_they_are(data: TestData) -> None:
    flag = {"key": "f", "on": True, "variations": [1, 2], "mine": {"kept": 1.5}}
    data.use_preconfigured_flag(flag).update_segment({"key": "s", "included": ["a"]})
    assert parse_json(data.data().flags["f"].data).items() >= flag.items()
    assert parse_json(data.data().segments["s"].data)["included"] == ["a"]
    data.delete_segment("s")
    assert data.data().segments["s"].deleted


@pytest.mark.parametrize("item", [{}, {"key": "f", "on": 5}, {"key": 7}])
def test_what_is_no_flag_is_refused_and_changes_nothing(
    data: TestData, item: dict[str, Any]
) -> None:
    with pytest.raises(InvalidItem):
        data.use_preconfigured_flag(item)
    assert data.data() == ChangeSet(full=True)


def test_subscribers_see_everything_and_then_each_change(data: TestData) -> None:
    data.update(data.flag("f"))
    seen: list[ChangeSet] = []
    unsubscribe = data.subscribe(seen.append)
    data.update(data.flag("g"))
    data.update_segment({"key": "s"})
    unsubscribe()
    unsubscribe()
    data.update(data.flag("h"))
    assert [(one.full, set(one.flags), set(one.segments)) for one in seen] == [
        (True, {"f"}, set()), (False, {"g"}, set()), (False, set(), {"s"}),
    ]  # fmt: skip


def test_changes_of_many_threads_all_arrive_in_order(data: TestData) -> None:
    newest: dict[str, Any] = {}

    def take(changes: ChangeSet) -> None:
        for key, item in changes.flags.items():
            assert is_newer(newest.get(key), item)
            newest[key] = item

    data.subscribe(take)

    def change() -> None:
        for _ in range(50):
            data.update(data.flag("f"))

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert newest["f"].version == 200


# --- clients -----------------------------------------------------------------------------------


def test_an_update_is_in_force_when_it_returns(data: TestData) -> None:
    data.update(data.flag("f").value_for_all(0))
    with Client(Config(source=data)) as one, Client(Config(source=data)) as other:
        assert one.wait_until_ready(10)
        assert other.wait_until_ready(10)
        for number in range(1, 20):
            data.update(data.flag("f").value_for_all(number))
            assert one.variation("f", USER, None) == number
            assert other.variation("f", USER, None) == number
        data.delete("f")
        assert one.variation("f", USER, "gone") == "gone"
    data.update(data.flag("f"))  # nobody left to wait for


def test_fix_listeners_hear_of_changes_and_the_source_is_valid(data: TestData) -> None:
    """FIX (data-sources.md 6): neither was so, as the official one writes past the client."""
    data.update(data.flag("f").value_for_all(0))
    heard = threading.Event()
    with Client(Config(source=data)) as client:
        assert client.wait_until_ready(10)
        client.on_change("f", lambda _: heard.set())
        data.update(data.flag("f").value_for_all(1))
        assert heard.wait(10)
        status = client.status.source
        assert status is not None
        assert status.state is SourceState.VALID


def test_fix_prerequisites_and_rollouts_reach_a_client(data: TestData) -> None:
    """FIX (data-sources.md 6): the official one has no way to say them; segments are below."""
    arms = [{"variation": 1, "weight": 100_000}]
    flag = {"on": True, "variations": [0, 1], "fallthrough": {"rollout": {"variations": arms}}}
    needs = {"prerequisites": [{"key": "p", "variation": 1}], "offVariation": 0}
    data.use_preconfigured_flag({"key": "p", **flag})
    data.use_preconfigured_flag({"key": "f", **flag, **needs})
    with Client(Config(source=data)) as client:
        assert client.wait_until_ready(10)
        assert client.variation("f", USER, None) == 1
        data.use_preconfigured_flag({"key": "p", **flag, "on": False})
        assert client.variation("f", USER, None) == 0


def test_segments_reach_a_client(data: TestData) -> None:
    clause = {"attribute": "", "op": "segmentMatch", "values": ["s"]}
    rules = [{"clauses": [clause], "variation": 1}]
    flag = {"key": "f", "on": True, "variations": [1, 2], "fallthrough": {"variation": 0}}
    data.use_preconfigured_flag(flag | {"rules": rules})
    with Client(Config(source=data)) as client:
        assert client.wait_until_ready(10)
        assert client.variation("f", USER, 0) == 1
        data.update_segment({"key": "s", "included": ["user-key"]})
        assert client.variation("f", USER, 0) == 2


def test_a_listener_may_change_the_data(data: TestData) -> None:
    data.update(data.flag("f").value_for_all(0)).update(data.flag("g").value_for_all(0))
    done = threading.Event()

    def follow(_: object) -> None:
        data.update(data.flag("g").value_for_all(1))
        done.set()

    with Client(Config(source=data)) as client:
        assert client.wait_until_ready(10)
        client.on_change("f", follow)
        data.update(data.flag("f").value_for_all(1))
        assert done.wait(10)
        assert client.variation("g", USER, None) == 1


async def test_async_clients_follow_too(data: TestData) -> None:
    data.update(data.flag("f").value_for_all(0))
    async with AsyncClient(Config(source=data)) as one, AsyncClient(Config(source=data)) as other:
        assert await one.wait_until_ready(10)
        assert await other.wait_until_ready(10)
        for number in range(1, 5):
            data.update(data.flag("f").value_for_all(number))
            await data.applied()
            assert await one.variation("f", USER, None) == number
            assert await other.variation("f", USER, None) == number
        thread = threading.Thread(target=lambda: data.update(data.flag("f").value_for_all("t")))
        thread.start()
        thread.join(10)
        await data.applied()
        assert await one.variation("f", USER, None) == "t"
    await data.applied()  # nobody left to wait for
