import json

import pytest

from flagkeep.model.item import Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.versions import raise_versions, with_version


def item(text: str, version: int = 1) -> SerializedItem:
    return SerializedItem(version, deleted=False, data=text.encode())


@pytest.mark.parametrize(
    "other",
    [
        '{"on":true,"version":5,"v":[1,"é"]}',
        '{ "v" : [1.0, "\\u00e9"], "version": 1, "on": true }',
        '{"v":[1,"é"],"on":true}',
    ],
)
def test_equal_content_keeps_the_known_item(other: str) -> None:
    known = {"a": item('{"on":true,"version":5,"v":[1,"é"]}', 5)}
    assert raise_versions(known, {"a": item(other)}) == known


@pytest.mark.parametrize(
    "other", ['{"on":1,"version":5}', '{"version":5}', '{"on":true,"version":5,"new":null}', "[]"]
)
def test_other_content_counts_as_newer(other: str) -> None:
    known = {"a": item('{"on":true,"version":5}', 5)}
    if other != "[]":
        raised = raise_versions(known, {"a": item(other, 5)})["a"]
        assert raised.version == 6
        tree = json.loads(other)
        assert json.loads(raised.data) == tree | {"version": 6}
    assert raise_versions(known, {"a": item(other, 9)})["a"] == item(other, 9)


def test_new_items_come_as_they_are_and_absent_ones_vanish() -> None:
    known = {"a": item('{"version":5}', 5), "b": item('{"version":5}', 5)}
    loaded = {"a": item('{"version":5}', 5), "c": item('{"version":1}')}
    assert raise_versions(known, loaded) == {"a": known["a"], "c": loaded["c"]}


def test_an_item_that_comes_back_is_newer_than_its_tombstone() -> None:
    raised = raise_versions({"a": tombstone(Kind.FLAG, "a", 7)}, {"a": item('{"version":1}')})
    assert raised["a"] == item('{"version":8}', 8)


def test_what_cannot_be_compared_counts_as_other() -> None:
    known = {"a": item("{", 3), "b": item('{"x":' + "[" * 5000 + "]" * 5000 + "}", 3)}
    loaded = {"a": item('{"version":3}', 3), "b": item('{"version":3}', 3)}
    assert {key: one.version for key, one in raise_versions(known, loaded).items()} == {
        "a": 4,
        "b": 4,
    }


def test_the_rest_of_the_text_stays_to_the_letter() -> None:
    text = '{"v":[1e400, 12345678901234567890123, 1.10],"version":1,"s":"\\u00e9\\ud800"}'
    raised = with_version(item(text), 12)
    assert raised.version == 12
    assert raised.data == text.replace('"version":1,', '"version":12,').encode()
    text = text.replace("\\ud800", "")
    raised = with_version(item(text), 12)
    assert raised.data == text.replace('"version":1,', '"version":12,').encode()


def test_a_lone_surrogate_in_a_name_does_not_prevent_it() -> None:
    raised = with_version(item('{"\\ud800":1,"version":1}'), 2)
    assert json.loads(raised.data) == {"\ud800": 1, "version": 2}
