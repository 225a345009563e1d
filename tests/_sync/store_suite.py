"""What every store must do: one list of checks for all backends, in both colours.

A backend brings a function that opens a store for a prefix, always on the same data.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import permutations

import pytest

from flagkeep._sync.interfaces import FeatureStore
from flagkeep._runtime import threads as runtime
from flagkeep.errors import StoreClosed
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.model.tombstone import tombstone
from flagkeep.storage.contents import StoreChanges, WriterRecord
from tests._sync.waiting import PATIENCE

ODD_KEYS = (
    "a", "A", " a ", "a/b", "a:b", "$inited", "$deleted", "features", "é", "日本", "🚀", "%00",
    "a\0b", "'; DROP TABLE items; --", '"', "\\", "a\nb", "x" * 2000, "", "\ud800",
)  # fmt: skip


@dataclass(frozen=True)
class Backend:
    """How the checks get at stores.

    Attributes:
        open: returns a store for a prefix; the caller closes it.
        refuses: those of `ODD_KEYS` that the database cannot take.
    """

    open: Callable[[str], FeatureStore]
    refuses: frozenset[str] = frozenset()


def flag(key: str, version: int = 1, **more: object) -> SerializedItem:
    extra = "".join(f',"{name}":{value}' for name, value in more.items())
    text = f'{{"key":"{key}","version":{version},"deleted":false{extra}}}'
    return SerializedItem(version, deleted=False, data=text.encode())


def flags(**versions: int) -> dict[str, SerializedItem]:
    return {key: flag(key, version) for key, version in versions.items()}


def refs(*keys: str, kind: Kind = Kind.FLAG) -> list[ItemRef]:
    return [ItemRef(kind, key) for key in keys]


def full(items: dict[str, SerializedItem], segments: Iterable[str] = ()) -> ChangeSet:
    return ChangeSet(full=True, flags=items, segments={key: flag(key) for key in segments})


def part(items: dict[str, SerializedItem]) -> ChangeSet:
    return ChangeSet(full=False, flags=items)


def check_replace_stores_everything(backend: Backend) -> None:
    store = backend.open("")
    store.replace(full(flags(a=1, b=2), segments=["a", "s"]))
    contents = store.get_all()
    assert contents.initialized
    assert store.is_initialized()
    assert contents.flags == flags(a=1, b=2)
    assert contents.segments == {"a": flag("a"), "s": flag("s")}
    assert contents.bad == ()
    assert store.get_many(refs("a", "none", "b")) == {
        ItemRef(Kind.FLAG, "a"): flag("a", 1),
        ItemRef(Kind.FLAG, "b"): flag("b", 2),
    }
    assert store.get_many(()) == {}
    assert store.get_many(refs("s", kind=Kind.SEGMENT)) == {
        ItemRef(Kind.SEGMENT, "s"): flag("s")
    }
    store.close()


def check_replace_ignores_versions_and_removes_the_rest(backend: Backend) -> None:
    store = backend.open("")
    store.replace(full(flags(a=5, b=5, c=5), segments=["s"]))
    store.replace(full(flags(a=3, b=5)))
    contents = store.get_all()
    assert contents.flags == flags(a=3, b=5)
    assert contents.segments == {}
    store.close()


def check_replace_tells_texts_of_one_version_apart(backend: Backend) -> None:
    first, second = backend.open(""), backend.open("")
    for number in (1, 2):
        first.replace(full({"a": flag("a", 5, n=number)}))
    assert (second.get_all()).flags == {"a": flag("a", 5, n=2)}
    second.replace(full({"a": flag("a", 5, n=3)}))
    assert (first.get_all()).flags == {"a": flag("a", 5, n=3)}
    for store in (first, second):
        store.close()


def check_replace_with_nothing_still_sets_the_marker(backend: Backend) -> None:
    store = backend.open("")
    store.replace(full({}))
    contents = store.get_all()
    assert contents.initialized
    assert contents.flags == {}
    store.close()


def check_only_a_full_set_sets_the_marker(backend: Backend) -> None:
    store = backend.open("")
    assert store.upsert(part(flags(a=1))) == {}
    assert not store.is_initialized()
    contents = store.get_all()
    assert not contents.initialized
    assert contents.flags == flags(a=1)
    store.close()


def check_a_tombstone_keeps_older_updates_out(backend: Backend) -> None:
    store = backend.open("")
    store.replace(full(flags(a=1)))
    gone = tombstone(Kind.FLAG, "a", 5)
    assert store.upsert(part({"a": gone})) == {}
    assert store.get_many(refs("a")) == {ItemRef(Kind.FLAG, "a"): gone}
    assert (store.get_all()).flags["a"].deleted
    assert store.upsert(part(flags(a=4))) == {ItemRef(Kind.FLAG, "a"): gone}
    assert store.upsert(part(flags(a=5))) == {ItemRef(Kind.FLAG, "a"): gone}
    assert store.upsert(part(flags(a=6))) == {}
    assert (store.get_all()).flags == flags(a=6)
    store.close()


def check_an_unknown_item_may_arrive_as_a_tombstone(backend: Backend) -> None:
    store = backend.open("")
    store.replace(full({}))
    assert store.upsert(part({"a": tombstone(Kind.FLAG, "a", 2)})) == {}
    refused = store.upsert(part(flags(a=1)))
    assert refused[ItemRef(Kind.FLAG, "a")].version == 2
    store.close()


def check_only_newer_items_are_taken_and_the_others_are_returned(backend: Backend) -> None:
    store = backend.open("")
    store.replace(full(flags(a=2, b=2, c=2), segments=["a"]))
    refused = store.upsert(part(flags(a=1, b=2, c=3, d=1)))
    assert refused == {
        ItemRef(Kind.FLAG, "a"): flag("a", 2),
        ItemRef(Kind.FLAG, "b"): flag("b", 2),
    }
    assert (store.get_all()).flags == flags(a=2, b=2, c=3, d=1)
    assert (store.get_all()).segments == {"a": flag("a")}
    store.close()


def check_any_order_of_upserts_ends_in_the_newest(backend: Backend) -> None:
    store = backend.open("")
    states = (flag("a", 1), flag("a", 2), tombstone(Kind.FLAG, "a", 3), flag("a", 4))
    for order in permutations(states):
        store.replace(full({}))
        for state in order:
            store.upsert(part({"a": state}))
        assert (store.get_all()).flags == {"a": states[-1]}
    store.close()


def check_a_write_between_read_and_write_is_not_lost(backend: Backend) -> None:
    one, other = backend.open(""), backend.open("")
    one.replace(full(flags(a=1)))
    assert (one.get_all()).flags == flags(a=1)
    other.upsert(part(flags(a=5)))
    assert one.upsert(part(flags(a=4))) == {ItemRef(Kind.FLAG, "a"): flag("a", 5)}
    assert one.get_many(refs("a")) == {ItemRef(Kind.FLAG, "a"): flag("a", 5)}
    one.close()
    other.close()


def check_prefixes_are_isolated(backend: Backend) -> None:
    prefixes = ("env1", "env10", "", "env1:features", "env1/sub", "env")
    stores = {prefix: backend.open(prefix) for prefix in prefixes}
    for number, store in enumerate(stores.values(), 1):
        assert not store.upsert(part(flags(shared=number)))
        assert not store.is_initialized()
    stores["env1"].replace(full(flags(own=1)))
    assert (stores["env1"].get_all()).flags == flags(own=1)
    for number, prefix in list(enumerate(prefixes, 1))[1:]:
        assert not stores[prefix].is_initialized()
        assert (stores[prefix].get_all()).flags == flags(shared=number)
    for store in stores.values():
        store.close()


def check_odd_keys_come_back_and_those_that_cannot_be_stored_hide_no_other(
    backend: Backend,
) -> None:
    store = backend.open("p")
    items = {key: flag("k", number) for number, key in enumerate(ODD_KEYS)}
    store.replace(full(items))
    stored = {key: item for key, item in items.items() if key not in backend.refuses}
    assert (store.get_all()).flags == stored
    assert {ref.key: item for ref, item in (store.get_many(refs(*items))).items()} == stored
    newer = {key: flag("k", 100) for key in ODD_KEYS}
    assert store.upsert(part(newer)) == {}
    assert (store.get_all()).flags == {key: newer[key] for key in stored}
    store.replace(full({}))
    assert (store.get_all()).flags == {}
    store.close()


def check_what_is_not_stored_is_named_for_as_long_as_that_is_so(backend: Backend) -> None:
    store = backend.open("p")
    wanted = {"\ud800": flag("k"), "huge": flag("huge", 2**63), **flags(a=1)}

    def check() -> set[str]:
        """What is in the store as it should be is not named, and everything else is."""
        there = (store.get_all()).flags
        lost = {key for key, item in wanted.items() if there.get(key) != item and not item.deleted}
        named: tuple[BadItem, ...] = getattr(store, "unstored", ())
        assert {bad.ref for bad in named} == set(refs(*lost))
        assert all(bad.problem.startswith("not stored: ") for bad in named)
        return lost

    store.replace(full(wanted))
    assert check() >= backend.refuses & {"\ud800"}
    for changes in (flags(a=2), {"\ud800": flag("k", 2)}, flags(huge=2), flags(a=3)):
        newer = store.upsert(part(changes))
        wanted |= {key: item for key, item in changes.items() if refs(key)[0] not in newer}
        assert check() >= backend.refuses & {"\ud800"}
    wanted["\ud800"] = tombstone(Kind.FLAG, "k", 3)
    store.upsert(part({"\ud800": wanted["\ud800"]}))
    assert check() == set()
    wanted["\ud800"] = flag("k", 4)
    store.replace(full(wanted))
    assert check() >= backend.refuses & {"\ud800"}
    del wanted["\ud800"]
    store.replace(full(wanted))
    assert check() == set()
    store.close()


def check_hundreds_of_items_are_as_good_as_one(backend: Backend) -> None:
    store = backend.open("p")
    keys = [f"f{number}" for number in range(300)]
    first = {key: flag(key, 2) for key in keys}
    store.replace(full(first, segments=keys))
    contents = store.get_all()
    assert contents.flags == first
    assert contents.segments.keys() == set(keys)
    found = store.get_many(refs(*keys, "none"))
    assert {ref.key: item for ref, item in found.items()} == first
    mixed = {key: flag(key, 1 + number % 3) for number, key in enumerate(keys)}
    refused = store.upsert(part(mixed))
    assert refused == {
        ItemRef(Kind.FLAG, key): first[key] for key in keys if mixed[key].version < 3
    }
    newest = {key: item if item.version == 3 else first[key] for key, item in mixed.items()}
    assert (store.get_all()).flags == newest
    store.replace(full(flags(f7=1)))
    contents = store.get_all()
    assert contents.flags == flags(f7=1)
    assert contents.segments == {}
    store.close()


def check_many_may_use_it_at_the_same_time(backend: Backend) -> None:
    store = backend.open("p")
    keys = [f"f{number}" for number in range(8)]
    store.replace(full({key: flag(key) for key in keys}))
    done: list[str] = []

    def use(key: str) -> None:
        for version in (3, 2, 4):
            store.upsert(part({key: flag(key, version), "all": flag("all", version)}))
            found = store.get_many(refs(key, "all"))
            assert found[ItemRef(Kind.FLAG, key)] == flag(key, max(3, version))
            assert found[ItemRef(Kind.FLAG, "all")].version >= max(3, version)
            assert (store.get_all()).flags.keys() == {*keys, "all"}
        done.append(key)

    users = [runtime.spawn("user", partial(use, key)) for key in keys]
    for user in users:
        assert user.join(PATIENCE)
    assert sorted(done) == keys
    assert (store.get_all()).flags == {key: flag(key, 4) for key in (*keys, "all")}
    store.close()


def check_the_text_is_kept_to_the_letter(backend: Backend) -> None:
    store = backend.open("")
    text = ' {"new": {"b" : 1e400, "a":[1.0, "\\ud800é"]},"version":  7 , "deleted" : false}\n'
    item = SerializedItem(7, deleted=False, data=text.encode())
    about_deletion = flag("b", 3, variations='[{"deleted":true},"\\"deleted\\":true"]')
    store.replace(full({"a": item, "b": about_deletion}))
    assert (store.get_all()).flags == {"a": item, "b": about_deletion}
    assert store.get_many(refs("a")) == {ItemRef(Kind.FLAG, "a"): item}
    store.close()


def check_the_record_counts_what_is_there(backend: Backend) -> None:
    store = backend.open("")
    store.upsert(part(flags(z=1)))
    assert store.read_record() is None
    me = WriterRecord(writer="me", host="here", epoch=3, source="file")
    store.replace(full(flags(a=1, b=1), segments=["s"]), me)
    first = store.read_record()
    assert first is not None
    assert (first.writer, first.host, first.epoch, first.source) == ("me", "here", 3, "file")
    assert first.replaces == 1
    assert first.counts == {Kind.FLAG: 2, Kind.SEGMENT: 1}
    assert not first.replacing
    store.upsert(part({"a": tombstone(Kind.FLAG, "a", 2), "c": flag("c")}))
    changed = store.read_record()
    assert changed is not None
    assert changed.counts == {Kind.FLAG: 2, Kind.SEGMENT: 1}
    assert changed.digest != first.digest
    assert changed.last_full_write == first.last_full_write
    contents = store.get_all()
    store.replace(full(contents.flags, segments=["s"]), me)
    second = store.read_record()
    assert second is not None
    assert (second.replaces, second.digest, second.counts) == (2, changed.digest, changed.counts)
    store.replace(full({}))
    assert store.read_record() is None
    store.close()


def check_closing_twice_is_fine_and_use_afterwards_is_not(backend: Backend) -> None:
    store = backend.open("")
    store.replace(full(flags(a=1)))
    store.close()
    store.close()
    with pytest.raises(StoreClosed):
        store.get_all()
    with pytest.raises(StoreClosed):
        store.get_many(refs("a"))
    with pytest.raises(StoreClosed):
        store.is_initialized()
    with pytest.raises(StoreClosed):
        store.replace(full({}))
    with pytest.raises(StoreClosed):
        store.upsert(part({}))
    with pytest.raises(StoreClosed):
        store.poll_changes()
    with pytest.raises(StoreClosed):
        store.read_record()


def check_a_poll_names_what_others_changed(backend: Backend) -> None:
    reader, writer = backend.open("p"), backend.open("p")
    if reader.poll_interval is not None:
        writer.replace(full(flags(a=1, b=1, c=1), segments=["s"]))
        reader.get_all()
        assert reader.poll_changes() is None
        writer.upsert(part(flags(a=2)))
        writer.upsert(part(flags(a=3, d=1)))
        assert reader.poll_changes() == StoreChanges(tuple(refs("a", "d")))
        assert reader.poll_changes() is None
        writer.upsert(part(flags(a=1)))  # refused, so nothing changes
        assert reader.poll_changes() is None
        writer.replace(full(flags(a=3, b=2, c=1)))
        changes = reader.poll_changes()
        assert changes is not None
        expected = {*refs("b", "d"), *refs("s", kind=Kind.SEGMENT)}
        assert set(changes.refs or ()) == expected
        assert reader.poll_changes() is None
    reader.close()
    writer.close()


def check_a_poll_says_nothing_of_other_prefixes(backend: Backend) -> None:
    reader, writer, other = backend.open("env1"), backend.open("env1"), backend.open("env10")
    if reader.poll_interval is not None:
        writer.replace(full(flags(a=1)))
        reader.get_all()
        other.replace(full(flags(a=7)))
        assert reader.poll_changes() is None
        other.upsert(part(flags(a=8)))
        writer.upsert(part(flags(a=2)))
        assert reader.poll_changes() == StoreChanges(tuple(refs("a")))
    for store in (reader, writer, other):
        store.close()


def check_a_poll_says_everything_when_it_was_too_much(backend: Backend) -> None:
    reader, writer = backend.open(""), backend.open("")
    if reader.poll_interval is not None:
        writer.replace(full(flags(a=1)))
        reader.get_all()
        writer.replace(full({f"f{number}": flag("f") for number in range(1500)}))
        assert reader.poll_changes() == StoreChanges(None)
        writer.upsert(part(flags(f3=9)))
        assert reader.poll_changes() == StoreChanges(tuple(refs("f3")))
        for number in range(3):  # together more than is remembered
            writer.upsert(part({f"g{n}": flag("g", 2 + number) for n in range(600)}))
        assert reader.poll_changes() == StoreChanges(None)
        assert reader.poll_changes() is None
    reader.close()
    writer.close()


CHECKS = [
    check_replace_stores_everything,
    check_replace_ignores_versions_and_removes_the_rest,
    check_replace_tells_texts_of_one_version_apart,
    check_replace_with_nothing_still_sets_the_marker,
    check_only_a_full_set_sets_the_marker,
    check_a_tombstone_keeps_older_updates_out,
    check_an_unknown_item_may_arrive_as_a_tombstone,
    check_only_newer_items_are_taken_and_the_others_are_returned,
    check_any_order_of_upserts_ends_in_the_newest,
    check_a_write_between_read_and_write_is_not_lost,
    check_prefixes_are_isolated,
    check_odd_keys_come_back_and_those_that_cannot_be_stored_hide_no_other,
    check_what_is_not_stored_is_named_for_as_long_as_that_is_so,
    check_hundreds_of_items_are_as_good_as_one,
    check_many_may_use_it_at_the_same_time,
    check_the_text_is_kept_to_the_letter,
    check_the_record_counts_what_is_there,
    check_closing_twice_is_fine_and_use_afterwards_is_not,
    check_a_poll_names_what_others_changed,
    check_a_poll_says_nothing_of_other_prefixes,
    check_a_poll_says_everything_when_it_was_too_much,
]
