"""The commands about contexts: build, convert, compare."""

import json

import pytest

from tests.contract.driver import DrivenClient, Json


@pytest.mark.parametrize(
    ("wanted", "built"),
    [({"single": {"key": "a"}}, {"kind": "user", "key": "a"}),
     ({"single": {"kind": "org", "key": "a", "name": "n", "anonymous": True, "private": ["x"],
                  "custom": {"x": [1], "y": None}}},
      {"kind": "org", "key": "a", "name": "n", "anonymous": True, "x": [1],
       "_meta": {"privateAttributes": ["x"]}}),
     ({"multi": [{"kind": "org", "key": "a"}, {"key": "b"}]},
      {"kind": "multi", "org": {"key": "a"}, "user": {"key": "b"}})],
)  # fmt: skip
def test_contexts_are_built(client: DrivenClient, wanted: Json, built: Json) -> None:
    assert json.loads(client.command("contextBuild", **wanted)["output"]) == built


@pytest.mark.parametrize(
    ("text", "read"),
    [('{"kind":"org","key":"a","b":null}', {"kind": "org", "key": "a"}),
     ('{"key":"","custom":{"b":1},"anonymous":null}', {"kind": "user", "key": "", "b": 1})],
)  # fmt: skip
def test_contexts_and_users_are_read(client: DrivenClient, text: str, read: Json) -> None:
    assert json.loads(client.command("contextConvert", input=text)["output"]) == read


@pytest.mark.parametrize("text", ["", "{", "true", "{}", '{"kind":null,"key":"x"}', '{"key":3}'])
def test_an_error_is_answered_for_what_is_no_context(client: DrivenClient, text: str) -> None:
    answer = client.command("contextConvert", input=text)
    assert set(answer) == {"error"}
    assert answer["error"]
    assert client.command("contextBuild", single={"key": ""})["error"]


def test_contexts_are_compared(client: DrivenClient) -> None:
    private = [{"value": "/a/b", "literal": True}, {"value": "name"}]
    one = {"kind": "user", "key": "k", "privateAttributes": private}
    same = {**one, "privateAttributes": [{"value": "name"}, {"value": "/~1a~1b"}]}
    other = {**one, "attributes": [{"name": "name", "value": "n"}]}

    def are_equal(first: Json, second: Json) -> bool:
        answer = client.command("contextComparison", context1=first, context2=second)
        return bool(answer["equals"])

    assert are_equal({"single": one}, {"single": same})
    assert are_equal({"single": one}, {"multi": [one]})
    assert not are_equal({"single": one}, {"single": other})
    org = {"kind": "org", "key": "k"}
    assert are_equal({"multi": [one, org]}, {"multi": [org, same]})
