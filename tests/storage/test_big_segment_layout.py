"""How Big Segments lie in each database: names, rows, replies (stores spec, sections 12 and 18)."""

from typing import Any

import pytest

from flagkeep.storage import big_segment_layout as layout
from flagkeep.storage.big_segments import BigSegmentMetadata, hash_of

HASH = "CEXjZY7cHJG/ydFy7q4+YEFwVrG3/pkJwA4FAjrbfx0="


def test_the_keys_of_redis_are_those_of_every_sdk() -> None:
    names = layout.RedisNames("p")
    assert names.time() == (b"GET", b"p:big_segments_synchronized_on")
    assert names.members(hash_of("user-key")) == [
        (b"SMEMBERS", f"p:big_segment_include:{HASH}".encode()),
        (b"SMEMBERS", f"p:big_segment_exclude:{HASH}".encode()),
    ]


@pytest.mark.parametrize(
    ("prefix", "start"), [("", "launchdarkly:"), ("p:", "p::"), ("{ld}.é", "{ld}.é:")]
)
def test_a_prefix_of_redis_is_kept_as_it_is_and_never_empty(prefix: str, start: str) -> None:
    name = layout.RedisNames(prefix).time()[1].decode()
    assert name == f"{start}big_segments_synchronized_on"


@pytest.mark.parametrize(("prefix", "start"), [("", ""), ("p", "p:")])
def test_the_rows_of_dynamodb_are_those_of_every_sdk(prefix: str, start: str) -> None:
    names = layout.DynamoDBNames(prefix)
    assert names.members == f"{start}big_segments_user"
    assert names.metadata == (f"{start}big_segments_metadata", f"{start}big_segments_metadata")


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (None, None),
        (b"", None),
        (b"0", 0),
        (b"1700000000123", 1700000000123),
        ("1700000000123", 1700000000123),
        (b"-1", None),
        (b"1.5", None),
        (b" 1", None),
        (b"1\n", None),
        (b"soon", None),
        ("\u0661", None),
        ("\ud800", None),
        (b"9" * 18, 10**18 - 1),
        (b"9" * 19, None),
        (17, None),
    ],
)
def test_a_time_is_a_number_or_never(time: object, expected: int | None) -> None:
    assert layout.metadata(time) == BigSegmentMetadata(expected)


@pytest.mark.parametrize(
    ("included", "excluded", "expected"),
    [
        ([], [], {}),
        (["a.g1"], [], {"a.g1": True}),
        ([], ["a.g1"], {"a.g1": False}),
        (["a.g1"], ["a.g1", "b.g1"], {"a.g1": True, "b.g1": False}),
        ([b"a.g1", b"\xff", 5, None], [b"\xc3\xa9.g1"], {"a.g1": True, "é.g1": False}),
    ],
)
def test_excludes_come_first_and_includes_overwrite_them(
    included: Any, excluded: Any, expected: Any
) -> None:
    assert layout.membership(included, excluded) == expected
    rows = [*((name, 1) for name in included), *((name, 0) for name in excluded), ("x.g1", 2)]
    assert layout.membership_of_rows(rows) == expected
    assert layout.membership_of_rows(reversed(rows)) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (None, {}),
        ({"namespace": {"S": "big_segments_user"}, "key": {"S": HASH}}, {}),
        ({"included": {"SS": ["a.g1"]}}, {"a.g1": True}),
        (
            {"excluded": {"SS": ["a.g1", "b.g1"]}, "included": {"SS": ["b.g1"]}},
            {"a.g1": False, "b.g1": True},
        ),
        ({"included": {"S": "a.g1"}, "excluded": {"NULL": True}}, {}),
    ],
)
def test_a_membership_of_dynamodb(item: Any, expected: Any) -> None:
    assert layout.membership_of_item(item) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (None, None),
        ({"lastVersion": {"S": "5"}}, None),
        ({"synchronizedOn": {"N": "1700000000123"}}, 1700000000123),
        ({"synchronizedOn": {"S": "1700000000123"}}, None),
    ],
)
def test_a_time_of_dynamodb(item: Any, expected: int | None) -> None:
    assert layout.metadata_of_item(item) == BigSegmentMetadata(expected)
