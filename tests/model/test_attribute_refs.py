"""Attribute references (data model spec, section 5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.attribute_ref import AttributeRef
from tests.evaluation.profiles import examples


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("name", ("name",)),
        ("a/b", ("a/b",)),
        ("a~b", ("a~b",)),
        ("a~2", ("a~2",)),
        ("a/", ("a/",)),
        ("/a", ("a",)),
        ("/a/b", ("a", "b")),
        ("/a/0", ("a", "0")),
        ("/a~1b", ("a/b",)),
        ("/a~0b", ("a~b",)),
        ("/a~01b", ("a~1b",)),
        ("/~1~0/~0~1", ("/~", "~/")),
        ("/ ", (" ",)),
        ("\ud800", ("\ud800",)),
        ("/kind", ("kind",)),
    ],
)
def test_references(text: str, path: tuple[str, ...]) -> None:
    reference = AttributeRef.parse(text)
    assert reference.error is None
    assert reference.components == path


@pytest.mark.parametrize(
    "text", ["", "/", "//", "/a//b", "/a/", "//a", "/~", "/a~", "/a~2", "/a/~x", "/a~/b", "/~~0"]
)
def test_invalid_references(text: str) -> None:
    reference = AttributeRef.parse(text)
    assert reference.error
    assert reference.components == ()


@pytest.mark.parametrize(
    ("name", "written"),
    [("x", "x"), ("a/b", "a/b"), ("~x", "~x"), ("/x", "/~1x"), ("/x~/y", "/~1x~0~1y")],
)
def test_literal_names_as_references(name: str, written: str) -> None:
    literal = AttributeRef.literal(name)
    assert literal.components == (name,)
    assert str(literal) == written
    assert AttributeRef.parse(written) == literal


def test_the_empty_literal_is_invalid() -> None:
    assert AttributeRef.literal("").error


@pytest.mark.parametrize(
    ("one", "other"), [("x", "/x"), ("/a~1b", "a/b"), ("/a~0b", "a~b"), ("/x/y", "/x/y")]
)
def test_spelling_does_not_count(one: str, other: str) -> None:
    assert AttributeRef.parse(one) == AttributeRef.parse(other)
    assert hash(AttributeRef.parse(one)) == hash(AttributeRef.parse(other))


def test_different_references() -> None:
    assert AttributeRef.parse("/x/y") != AttributeRef.literal("/x/y")
    assert AttributeRef.parse("/a/b") != AttributeRef.parse("a/b")


@examples(300)
@given(st.lists(st.text(alphabet="a~/01", min_size=1), min_size=1, max_size=4))
def test_every_path_can_be_written(path: list[str]) -> None:
    written = "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)
    reference = AttributeRef.parse(written)
    assert reference.components == tuple(path)
    assert AttributeRef.parse(str(reference)) == reference


@examples(300)
@given(st.text(alphabet="a~/01") | st.text())
def test_parsing_never_raises(text: str) -> None:
    reference = AttributeRef.parse(text)
    assert (reference.error is None) is bool(reference.components)
