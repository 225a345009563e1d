"""Commands for a Redis: tuples of bytes, alone and together, and the form in which they are sent.

They are packed here: the protocol's form is two lines long, and filling 10,000 flags with the
driver's packing takes twice as long.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

Command = tuple[bytes, ...]

MULTI: Final[Command] = (b"MULTI",)
EXEC: Final[Command] = (b"EXEC",)
UNWATCH: Final[Command] = (b"UNWATCH",)

_PIECE: Final = 1 << 18


def together(commands: Iterable[Command]) -> list[Command]:
    """Return `commands` as a transaction; EXEC answers all of them."""
    return [MULTI, *commands, EXEC]


def unchanged(commands: Sequence[Command]) -> list[Command]:
    """Return reads of one key each that were as of one moment if EXEC does not answer null.

    For servers whose memory is full: they refuse reads, too, between MULTI and EXEC.
    """
    return [(b"WATCH", *(command[1] for command in commands)), *commands, MULTI, EXEC]


def packed(command: Sequence[bytes]) -> bytes:
    """Return a command as it is sent."""
    parts = [b"*%d\r\n" % len(command)]
    parts += [b"$%d\r\n%b\r\n" % (len(part), part) for part in command]
    return b"".join(parts)


def packed_all(commands: Sequence[Command]) -> Iterable[bytes]:
    """Return what to send, in pieces of some size, so that the server reads while we pack."""
    return _pieces(commands) if len(commands) > 1 else (packed(commands[0]),)


def _pieces(commands: Sequence[Command]) -> Iterator[bytes]:
    parts: list[bytes] = []
    size = 0
    for command in commands:
        one = packed(command)
        size += len(one)
        parts.append(one)
        if size > _PIECE:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)
