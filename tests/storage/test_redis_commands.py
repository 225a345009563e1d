from hypothesis import given
from hypothesis import strategies as st

from flagkeep.storage.redis_commands import Command, packed_all


@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=5).map(tuple), min_size=1))
def test_packed_commands_are_read_as_they_were(commands: list[Command]) -> None:
    wire = b"".join(packed_all(commands))
    read = []
    while wire:
        count, _, wire = wire.removeprefix(b"*").partition(b"\r\n")
        parts = []
        for _ in range(int(count)):
            size, _, wire = wire.removeprefix(b"$").partition(b"\r\n")
            parts.append(wire[: int(size)])
            wire = wire[int(size) + 2 :]
        read.append(tuple(parts))
    assert read == commands


def test_what_is_sent_comes_in_pieces() -> None:
    pieces = list(packed_all([(b"SET", b"k", b"x" * 100_000)] * 10))
    assert 2 <= len(pieces) <= 5
    assert len(list(packed_all([(b"SET", b"k", b"x" * 1_000_000)] * 2))) == 2
    assert list(packed_all([(b"PING",)])) == [b"*1\r\n$4\r\nPING\r\n"]
