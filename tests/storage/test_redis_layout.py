from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef, Kind, SerializedItem
from flagkeep.storage import redis_commands as commands
from flagkeep.storage import redis_layout as layout
from flagkeep.storage.contents import WriterRecord
from flagkeep.storage.updates import Update, without

NAMES = layout.Names("p")
A, B, S = ItemRef(Kind.FLAG, "a"), ItemRef(Kind.FLAG, "b"), ItemRef(Kind.SEGMENT, "s")


def item(version: int, text: str = "") -> SerializedItem:
    return SerializedItem(
        version, deleted=False, data=b'{"version":%d%b}' % (version, text.encode())
    )


def changes(**items: SerializedItem) -> ChangeSet:
    return ChangeSet(full=False, flags=items)


def test_names_follow_the_prefix() -> None:
    for prefix in ("", "launchdarkly"):
        names = layout.Names(prefix)
        assert names.hashes[Kind.FLAG] == b"launchdarkly:features"
        assert names.hashes[Kind.SEGMENT] == b"launchdarkly:segments"
        assert (names.marker, names.own) == (b"launchdarkly:$inited", b"launchdarkly:$flagkeep")
    assert layout.Names("{é}.env:").marker == "{é}.env::$inited".encode()


def test_items_of_one_kind_are_read_together_and_told_apart() -> None:
    refs = [A, S, B, A]
    assert NAMES.items(refs) == [
        (b"HMGET", b"p:features", b"a", b"b", b"a"),
        (b"HMGET", b"p:segments", b"s"),
    ]
    assert layout.item_texts(refs, [[b"1", None, b"1"], [b"2"]]) == {A: b"1", S: b"2", B: None}
    assert layout.item_texts([A, B], [[None, b"3"]]) == {A: None, B: b"3"}


def test_a_replacement_is_one_transaction_in_the_order_given() -> None:
    rows = [(S, b"1"), (A, b"2"), (B, b"3"), (ItemRef(Kind.SEGMENT, "t"), b"4")]
    assert NAMES.replacement(rows, None) == [
        (b"MULTI",),
        (b"DEL", b"p:features"),
        (b"DEL", b"p:segments"),
        (b"HSET", b"p:segments", b"s", b"1"),
        (b"HSET", b"p:features", b"a", b"2", b"b", b"3"),
        (b"HSET", b"p:segments", b"t", b"4"),
        (b"SET", b"p:$inited", b""),
        (b"HDEL", b"p:$flagkeep", b"record"),
        (b"EXEC",),
    ]
    signed = NAMES.replacement([], WriterRecord(writer="w"))
    assert signed[-2] == (b"HSET", b"p:$flagkeep", b"record", b'{"writer":"w"}')


def test_many_items_are_written_in_several_commands() -> None:
    rows = [(ItemRef(Kind.FLAG, str(number)), b"{}") for number in range(1001)]
    puts = [one for one in NAMES.replacement(rows, None) if one[0] == b"HSET"]
    assert [len(one) // 2 - 1 for one in puts] == [500, 500, 1]
    assert sum((one[2::2] for one in puts), ()) == tuple(b"%d" % n for n in range(1001))


def test_the_script_is_told_what_was_read() -> None:
    update = Update(changes(a=item(3), b=item(3)), {A: b"old", B: None}, None, now=0.0)
    command = NAMES.script(update)
    assert command[:2] == (b"EVAL", layout.COMPARE_AND_SET)
    assert command[2:6] == (b"3", b"p:features", b"p:segments", b"p:$flagkeep")
    assert command[6:] == (
        *(b"1", b"a", b"1", b"old", item(3).data),
        *(b"1", b"b", b"0", b"", item(3).data),
    )
    old = WriterRecord(writer="w").encode()
    signed = Update(changes(a=item(1)), {A: None}, old, now=0.0)
    assert NAMES.script(signed)[-5:-1] == (b"3", b"record", b"1", old)


def test_a_transaction_writes_the_same() -> None:
    old = WriterRecord(writer="w").encode()
    update = Update(changes(a=item(1)), {A: None}, old, now=0.0)
    assert NAMES.transaction(update) == [
        (b"MULTI",),
        (b"HSET", b"p:features", b"a", item(1).data),
        (b"HSET", b"p:$flagkeep", b"record", update.record),
        (b"EXEC",),
    ]


def test_replies_of_both_protocols_are_read() -> None:
    text = item(1).data
    flat = [1, [b"a", text, b"b", text], []]
    mapped = [1, {b"a": text, b"b": text}, {}]
    assert layout.contents(flat) == layout.contents(mapped)
    assert layout.contents(flat).flags == {"a": item(1), "b": item(1)}
    assert layout.contents(flat).initialized
    assert not layout.contents([0, [], []]).initialized


def test_items_that_are_as_they_were_are_the_very_same() -> None:
    first = layout.contents([1, [b"a", item(1).data, b"b", item(1).data], []])
    reply = [b"a", item(1).data, b"b", item(2).data, b"c", item(1).data]
    second = layout.contents([1, reply, []], first)
    assert second.flags["a"] is first.flags["a"]
    assert {key: one.version for key, one in second.flags.items()} == {"a": 1, "b": 2, "c": 1}


def test_bad_fields_are_named_by_kind() -> None:
    found = layout.contents([0, [b"\xff", b"{}"], [b"null", b"null", b"x", b"null"]])
    assert [(one.kind, one.key) for one in found.bad] == [
        (Kind.FLAG, "\\xff"),
        (Kind.SEGMENT, "null"),
        (Kind.SEGMENT, "x"),
    ]
    assert "Erlang" in found.bad[1].problem
    assert "Erlang" not in found.bad[2].problem


def test_large_items_are_found_by_text_or_key() -> None:
    limit = layout.LOWEST_LIMIT
    at_limit = SerializedItem(1, deleted=False, data=b"x" * limit)
    over = SerializedItem(1, deleted=False, data=b"x" * (limit + 1))
    long_key = "é" * (limit // 2 + 1)
    found = layout.large_items(
        changes(a=at_limit, b=over, **{long_key: item(1), "k" * limit: at_limit})
    )
    assert found == {B: limit + 1, ItemRef(Kind.FLAG, long_key): limit + 2}
    assert without(changes(a=at_limit, b=over), [B]) == changes(a=at_limit)
    assert len(NAMES.filler(5000)[1]) == 5000


def test_everything_of_a_prefix_can_be_removed_at_once() -> None:
    assert NAMES.nothing() == (b"DEL", b"p:features", b"p:segments", b"p:$inited", b"p:$flagkeep")


def test_reads_are_of_one_moment_with_and_without_a_transaction() -> None:
    reads = NAMES.everything()
    assert commands.together(reads) == [commands.MULTI, *reads, commands.EXEC]
    watch = (b"WATCH", b"p:$inited", b"p:features", b"p:segments")
    assert commands.unchanged(reads) == [watch, *reads, commands.MULTI, commands.EXEC]
