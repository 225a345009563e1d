import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.model.item import ItemRef, Kind
from flagkeep.storage.sqlite_layout import (
    JOURNAL_LENGTH,
    Names,
    change_key,
    change_number,
    changed_since,
    journal_row,
    network_file_system,
)

Row = tuple[bytes, bytes]


def test_names_with_and_without_prefix() -> None:
    assert Names("").namespaces == {Kind.FLAG: "features", Kind.SEGMENT: "segments"}
    assert Names("").marker == "$inited"
    assert Names("p").namespaces == {Kind.FLAG: "p:features", Kind.SEGMENT: "p:segments"}
    assert Names("p").marker == "p:$inited"


def test_numbers_sort_as_their_keys_do() -> None:
    numbers = [0, 9, 10, 99, 1000, 10**12]
    assert sorted(map(change_key, numbers)) == [change_key(number) for number in numbers]
    assert [change_number(change_key(number).encode()) for number in numbers] == numbers
    assert change_number(None) == 0
    assert change_number(b"changed/zzz") == 0


def flag(key: str) -> ItemRef:
    return ItemRef(Kind.FLAG, key)


def row(last: int, prefix: str, *keys: str) -> Row:
    number, text = journal_row(last, prefix, [(flag(key), 1) for key in keys], epoch=0)
    return change_key(number).encode(), text


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "p"]), st.lists(st.sampled_from("abc"), max_size=4)),
        max_size=6,
    ),
    st.data(),
)
def test_a_reader_learns_exactly_what_came_after_its_last_look(
    writes: list[tuple[str, list[str]]], data: st.DataObject
) -> None:
    rows: list[Row] = []
    numbers = [0]
    for prefix, keys in writes:
        rows.append(row(numbers[-1], prefix, *keys))
        numbers.append(change_number(rows[-1][0]))
    seen = data.draw(st.integers(0, len(writes)))
    found = changed_since(numbers[seen], "p", rows[seen:])
    if seen == len(writes):
        assert found is None  # a commit without a row: somebody else's
    else:
        mine = [key for prefix, keys in writes[seen:] if prefix == "p" for key in keys]
        assert found == tuple(map(flag, dict.fromkeys(mine)))


def test_rows_that_were_forgotten_leave_a_gap() -> None:
    first, second = row(0, "", "a"), row(1, "", "b")
    assert changed_since(0, "", [first, second]) == (flag("a"), flag("b"))
    assert changed_since(0, "", [second]) is None


def test_too_much_at_once_is_not_named_to_those_it_concerns() -> None:
    many = [f"f{number}" for number in range(JOURNAL_LENGTH + 1)]
    big = row(0, "env1", *many)
    after = row(change_number(big[0]), "env2", "a")
    assert changed_since(0, "env1", [big, after]) is None
    assert changed_since(0, "env2", [big, after]) == (flag("a"),)


def test_a_row_that_cannot_be_read_means_everything() -> None:
    assert changed_since(0, "", [(change_key(1).encode(), b"x")]) is None


def test_an_unknown_namespace_in_the_journal_is_passed_over() -> None:
    text = b'{"prefix":"","epoch":0,"changes":[["new","a",1],["features","b",1]]}'
    assert changed_since(0, "", [(change_key(2).encode(), text)]) == (flag("b"),)


MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/local ext4 rw 0 0
//server/share /mnt/my\\040share cifs rw 0 0
me@host: /mnt/ssh fuse.sshfs rw 0 0
/dev/vdc /over ext4 rw 0 0
server:/x /over nfs rw 0 0
sandbox /sandbox 9p rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/flags.db", None),
        ("/home/me/flags.db", "nfs4"),
        ("/home/local/flags.db", None),
        ("/homestead/flags.db", None),
        ("/mnt/my share/flags.db", "cifs"),
        ("/mnt/ssh/flags.db", "fuse.sshfs"),
        ("/over/flags.db", "nfs"),
        ("/sandbox/flags.db", None),
    ],
)
def test_network_file_systems_are_recognised(path: str, kind: str | None) -> None:
    assert network_file_system(MOUNTS, path) == kind
