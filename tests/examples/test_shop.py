"""The example environment is what its readers are told: whole, sound, and full of features."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from flagkeep.model.codec import decode_flag, decode_segment, parse_json
from flagkeep.model.context import Context
from flagkeep.model.flag import Clause, Flag, Rollout
from flagkeep.model.references import references
from flagkeep.model.segment import Segment
from flagkeep.protocol.files import read_files
from flagkeep.protocol.json_file import find_duplicates

SHOP: Final = Path(__file__).parent.parent.parent / "examples" / "shop"
CHANGES: Final = read_files([("flags.json", (SHOP / "flags.json").read_bytes())])
FLAGS: Final = {key: decode_flag(item.data) for key, item in CHANGES.flags.items()}
SEGMENTS: Final = {key: decode_segment(item.data) for key, item in CHANGES.segments.items()}
OPERATORS: Final = {
    "in", "startsWith", "endsWith", "contains", "matches", "lessThan", "lessThanOrEqual",
    "greaterThan", "greaterThanOrEqual", "before", "after", "semVerEqual", "semVerLessThan",
    "semVerGreaterThan", "segmentMatch",
}  # fmt: skip


def items() -> Iterator[Flag | Segment]:
    yield from FLAGS.values()
    yield from SEGMENTS.values()


def clauses() -> Iterator[Clause]:
    for item in items():
        for rule in item.rules:
            yield from rule.clauses


def rollouts() -> Iterator[Rollout]:
    for flag in FLAGS.values():
        found = [flag.fallthrough.rollout, *(rule.rollout for rule in flag.rules)]
        yield from (one for one in found if one is not None)


def test_nothing_is_wrong_with_it() -> None:
    assert CHANGES.bad == ()
    assert list(find_duplicates((SHOP / "flags.json").read_text(encoding="utf-8"))) == []
    assert len(FLAGS) + len(SEGMENTS) > 40


def test_every_reference_leads_somewhere() -> None:
    known = {"flag": FLAGS.keys(), "segment": SEGMENTS.keys()}
    for item in items():
        for kind, key in references(item):
            assert key in known[kind], f"{item.key} refers to {kind} {key}"


def test_every_variation_exists_and_weights_add_up() -> None:
    for flag in FLAGS.values():
        used = {flag.off_variation, flag.fallthrough.variation}
        used |= {rule.variation for rule in flag.rules}
        used |= {target.variation for target in [*flag.targets, *flag.context_targets]}
        assert used - {None} <= set(range(len(flag.variations))), flag.key
    for rollout in rollouts():
        assert sum(arm.weight for arm in rollout.variations) == 100_000


def test_every_operator_is_there() -> None:
    assert {clause.op for clause in clauses()} == OPERATORS
    assert any(clause.negate for clause in clauses())
    assert any(not clause.context_kind and "/" in clause.attribute for clause in clauses())
    assert any(clause.context_kind and "~1" in clause.attribute for clause in clauses())
    assert any(
        len({one.context_kind for one in r.clauses}) > 1 for f in FLAGS.values() for r in f.rules
    )


@pytest.mark.parametrize("name", Flag.__struct_fields__)
def test_every_property_of_a_flag_is_used(name: str) -> None:
    if name != "deleted":  # nobody writes tombstones by hand
        assert any(getattr(flag, name) != getattr(Flag("", 1), name) for flag in FLAGS.values())


@pytest.mark.parametrize("name", Segment.__struct_fields__)
def test_every_property_of_a_segment_is_used(name: str) -> None:
    if name != "deleted":
        plain = Segment("", 1)
        assert any(getattr(segment, name) != getattr(plain, name) for segment in SEGMENTS.values())


@pytest.mark.parametrize("name", Rollout.__struct_fields__)
def test_every_property_of_a_rollout_is_used(name: str) -> None:
    assert any(getattr(one, name) != getattr(Rollout(), name) for one in rollouts())


def test_all_types_of_value_are_there() -> None:
    types = {type(value) for flag in FLAGS.values() for value in flag.variations}
    assert types == {bool, int, float, str, dict, type(None)}


def test_there_are_off_flags_and_flags_for_the_callers_default() -> None:
    off = [flag for flag in FLAGS.values() if not flag.on]
    assert {flag.off_variation is None for flag in off} == {True, False}


def test_a_reader_is_told_what_each_item_is_for() -> None:
    for changes in (CHANGES.flags, CHANGES.segments):
        for key, item in changes.items():
            if key not in ("shop-name", "support-hours"):
                assert parse_json(item.data)["description"]


def test_the_contexts_are_valid() -> None:
    found: dict[str, Any] = json.loads((SHOP / "contexts.json").read_text(encoding="utf-8"))
    assert len(found) == 6
    for name, context in found.items():
        assert Context.from_dict(context).valid, name


@pytest.mark.extras
def test_the_yaml_sample_is_sound() -> None:
    pytest.importorskip("yaml")
    changes = read_files([("flags.yaml", (SHOP / "flags.yaml").read_bytes())])
    assert changes.bad == ()
    assert set(changes.flags) >= {"shop-open", "checkout-v2", "theme", "shop-name"}
