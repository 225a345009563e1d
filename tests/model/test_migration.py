"""The vocabulary of migrations."""

import pytest

from flagkeep.model.migration import ExecutionOrder, Operation, Origin, Stage


def test_the_words_are_those_of_the_wire() -> None:
    assert [one.value for one in Stage] == [
        *("off", "dualwrite", "shadow", "live", "rampdown", "complete")
    ]
    assert [one.value for one in Origin] == ["old", "new"]
    assert [one.value for one in Operation] == ["read", "write"]
    assert [one.value for one in ExecutionOrder] == ["serial", "random", "parallel"]


@pytest.mark.parametrize("one", [*Stage, *ExecutionOrder], ids=str)
def test_a_word_is_found_by_its_text(one: Stage | ExecutionOrder) -> None:
    assert type(one).from_str(one.value) is one


@pytest.mark.parametrize("text", ["", "OFF", "Live", "unknown", None, 3])
def test_another_text_is_none(text: str) -> None:
    assert Stage.from_str(text) is None
    assert ExecutionOrder.from_str(text) is None
