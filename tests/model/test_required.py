"""Items are completed for readers in other languages without losing a byte of their own."""

import json

import pytest

from flagkeep.errors import InvalidItem
from flagkeep.model.codec import decode_flag
from flagkeep.model.item import Kind
from flagkeep.model.required import fill_required


def test_a_complete_item_comes_back_unchanged() -> None:
    once = fill_required(Kind.FLAG, "f", b'{ "on" : true }')
    assert fill_required(Kind.FLAG, "f", once) is once


def test_what_is_there_keeps_its_text_and_place() -> None:
    text = rb'{"x":1.50e3,"on":true,"odd":"\ud800","huge":1e999,"salt":null}'
    filled = fill_required(Kind.FLAG, "f", text, version=7)
    assert filled.startswith(rb'{"x":1.50e3,"on":true,"odd":"\ud800","huge":1e999,"salt":""')
    flag = decode_flag(filled)
    assert (flag.key, flag.version, flag.on) == ("f", 7, True)


def test_null_where_null_is_allowed_stays() -> None:
    filled = fill_required(Kind.FLAG, "f", b'{"offVariation":null,"fallthrough":null}')
    assert json.loads(filled)["offVariation"] is None
    assert json.loads(filled)["fallthrough"] == {}


def test_segments_have_a_list_of_their_own() -> None:
    assert json.loads(fill_required(Kind.SEGMENT, "s", b"{}")) == {
        "key": "s", "version": 1, "deleted": False, "salt": "", "included": [], "excluded": [],
        "rules": [],
    }  # fmt: skip


@pytest.mark.parametrize("text", [b"[]", b"5", b"null", b"", b'{"a'])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidItem):
        fill_required(Kind.FLAG, "f", text)
