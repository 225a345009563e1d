import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.ordering import write_order, write_stages


def flag(*prerequisites: object) -> SerializedItem:
    entries = [{"key": key, "variation": 0} for key in prerequisites]
    return SerializedItem(1, deleted=False, data=json.dumps({"prerequisites": entries}).encode())


def text(data: bytes) -> SerializedItem:
    return SerializedItem(1, deleted=False, data=data)


def order(changes: ChangeSet) -> list[str]:
    return [ref.key for ref, _ in write_order(changes)]


def test_segments_then_prerequisites_then_dependents_then_deletions() -> None:
    changes = ChangeSet(
        full=False,
        flags={
            "dead": tombstone(Kind.FLAG, "dead", 1),
            "c": flag("b"),
            "b": flag("a"),
            "a": flag(),
        },
        segments={"gone": tombstone(Kind.SEGMENT, "gone", 1), "s": text(b"{}")},
    )
    assert order(changes) == ["s", "a", "b", "c", "dead", "gone"]
    assert write_order(changes)[0] == (ItemRef(Kind.SEGMENT, "s"), text(b"{}"))
    staged = [(kind, [key for key, _ in items]) for kind, items in write_stages(changes)]
    assert staged == [
        (Kind.SEGMENT, ["s"]),
        (Kind.FLAG, ["a", "b", "c"]),
        (Kind.FLAG, ["dead"]),
        (Kind.SEGMENT, ["gone"]),
    ]


def test_cycles_end_and_missing_prerequisites_are_passed_over() -> None:
    changes = ChangeSet(full=True, flags={"a": flag("b", "none"), "b": flag("a"), "c": flag("c")})
    assert order(changes) == ["b", "a", "c"]


def test_a_chain_may_be_longer_than_the_stack() -> None:
    flags = {f"f{number}": flag(f"f{number + 1}") for number in range(5000)}
    assert order(ChangeSet(full=True, flags=flags)) == [f"f{n}" for n in reversed(range(5000))]


def test_items_that_cannot_be_read_are_written_all_the_same() -> None:
    flags = {
        "a": text(b'{"prerequisites":7}'),
        "b": text(b"not JSON"),
        "c": text(b'{"prerequisites":[{"key":"d"},{"key":1},2]}'),
        "d": text(b"[]"),
        "e": text(b'{"prerequisites":null}'),
        "f": text(b'{"prerequisites":[{"key":"d"}'),
    }
    assert order(ChangeSet(full=True, flags=flags)) == ["a", "b", "d", "c", "e", "f"]


def test_prerequisites_are_found_however_they_are_written() -> None:
    flags = {
        "a": text(b'{"description":"\\"prerequisites\\":[]","prerequisites":[{"key":"z"}]}'),
        "b": text(b'{"custom":{"prerequisites":[]},"prerequisites":[{"key":"z"}]}'),
        "c": text(b'{"\\u0070rerequisites":[{"key":"z"}]}'),
        "d": text(b'{"prerequisites":[],"prerequisites":[{"key":"z"}]}'),
        "z": text(b'{"prerequisites":[]}'),
    }
    assert order(ChangeSet(full=True, flags=flags)) == ["z", "a", "b", "c", "d"]


KEYS = st.sampled_from("abcdefgh")
NONE = st.sampled_from(
    [b"{}", b"[]", b'{"prerequisites":[]}', b'{"prerequisites": []}', b'{"prerequisites":null}',
     b'{"name":"\\u00e9"}', b'{"name":"\\"prerequisites\\":[]"}', b"x"]
)  # fmt: skip


def depth_first(graph: Mapping[str, list[str]]) -> list[str]:
    """Return the keys in the order of a plain walk: what one needs, in its order, then itself."""
    begun: set[str] = set()
    done: list[str] = []

    def walk(key: str) -> None:
        if key in graph and key not in begun:
            begun.add(key)
            for needed in graph[key]:
                walk(needed)
            done.append(key)

    for key in graph:
        walk(key)
    return done


@given(st.dictionaries(KEYS, st.lists(KEYS, max_size=3) | NONE))
def test_the_order_is_that_of_a_walk_whatever_flags_look_like(
    given_flags: dict[str, list[str] | bytes],
) -> None:
    graph = {key: one if isinstance(one, list) else [] for key, one in given_flags.items()}
    flags = {
        key: text(one) if isinstance(one, bytes) else flag(*one) for key, one in given_flags.items()
    }
    assert order(ChangeSet(full=True, flags=flags)) == depth_first(graph)


def test_flags_that_need_nothing_keep_their_order() -> None:
    flags = {key: text(b'{"prerequisites":[]}') for key in "hbxa"}
    dead = {key: tombstone(Kind.FLAG, key, 1) for key in "zc"}
    changes = ChangeSet(full=True, flags={**dead, **flags})
    assert write_order(changes) == [
        (ItemRef(Kind.FLAG, key), changes.flags[key]) for key in "hbxazc"
    ]


@given(st.dictionaries(KEYS, st.lists(KEYS, max_size=3)))
def test_everything_is_written_once_and_never_before_what_it_needs(
    graph: dict[str, list[str]],
) -> None:
    # Without cycles: a flag may only need those that come later in the alphabet.
    acyclic = {key: [one for one in needed if one > key] for key, needed in graph.items()}
    changes = ChangeSet(full=True, flags={key: flag(*needed) for key, needed in acyclic.items()})
    places = {key: place for place, key in enumerate(order(changes))}
    assert places.keys() == acyclic.keys()
    for key, needed in acyclic.items():
        assert all(places[one] < places[key] for one in needed if one in places)
    cyclic = ChangeSet(full=True, flags={key: flag(*needed) for key, needed in graph.items()})
    assert sorted(order(cyclic)) == sorted(graph)
