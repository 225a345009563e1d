"""Who is affected by a change, from one state to the next."""

import random

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage.dataset import DataSet, Dependencies, replaced, updated

STEPS = 200
KEYS = "abcdef"


def flag(version: int, *, needs: tuple[str, ...] = (), segment: str = "") -> SerializedItem:
    """Return a flag that depends on others."""
    match = {"attribute": "", "op": "segmentMatch", "values": [segment]}
    data = {
        "key": "any",
        "version": version,
        "prerequisites": [{"key": key, "variation": 0} for key in needs],
        "rules": [{"clauses": [match]}] if segment else [],
    }
    return SerializedItem(version, deleted=False, data=encode_json(data))


def segment(version: int, *, within: str = "") -> SerializedItem:
    """Return a segment that may refer to another."""
    match = {"attribute": "", "op": "segmentMatch", "values": [within]}
    data = {"key": "any", "version": version, "rules": [{"clauses": [match]}] if within else []}
    return SerializedItem(version, deleted=False, data=encode_json(data))


def state(**flags: SerializedItem) -> DataSet:
    """Return a state that has these flags only."""
    return replaced(DataSet(), ChangeSet(full=True, flags=flags)).data


def test_a_user_is_affected_through_others() -> None:
    old = state(a=flag(1), b=flag(1, needs=("a",)), c=flag(1, needs=("b",)), d=flag(1))
    change = updated(old, ChangeSet.partial({ItemRef(Kind.FLAG, "a"): flag(2)}))
    affected = Dependencies().affected_flags(old, change.data, change.refs)
    assert affected == {"a", "b", "c"}


def test_who_depended_on_it_before_is_affected_once_more_and_then_not() -> None:
    dependencies = Dependencies()
    old = state(a=flag(1), b=flag(1, needs=("a",)))
    both = {ItemRef(Kind.FLAG, "a"): flag(2), ItemRef(Kind.FLAG, "b"): flag(2)}
    first = updated(old, ChangeSet.partial(both))
    assert dependencies.affected_flags(old, first.data, first.refs) == {"a", "b"}
    second = updated(first.data, ChangeSet.partial({ItemRef(Kind.FLAG, "a"): flag(3)}))
    assert dependencies.affected_flags(first.data, second.data, second.refs) == {"a"}


def test_following_the_changes_finds_what_reading_everything_finds() -> None:
    chance = random.Random(7)
    following, known = Dependencies(), DataSet()
    for step in range(1, STEPS):
        items = {}
        for _ in range(chance.randint(1, 3)):
            kind = chance.choice(list(Kind))
            other, version = chance.choice([*KEYS, ""]), step
            if kind is Kind.SEGMENT:
                item = segment(version, within=other)
            else:
                needs = tuple(chance.sample(KEYS, chance.randint(0, 2)))
                item = flag(version, needs=needs, segment=other)
            if chance.random() < 0.2:
                item = SerializedItem(version, deleted=True, data=b"{}")
            items[ItemRef(kind, chance.choice(KEYS))] = item
        change = updated(known, ChangeSet.partial(items))
        anew = Dependencies().affected_flags(known, change.data, change.refs)
        if chance.random() < 0.9:  # now and then nobody listens
            assert following.affected_flags(known, change.data, change.refs) == anew
        known = change.data
