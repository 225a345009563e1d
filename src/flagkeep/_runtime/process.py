"""What tells this process from others, and what it runs on."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # not every client sends statistics
    from flagkeep.events.diagnostics import Platform


def number() -> int:
    """Return the number of this process; the child of a fork has another."""
    return os.getpid()


def new_writer_id() -> str:
    """Return a name that no other writer has."""
    return os.urandom(16).hex()


def host_name() -> str:
    """Return the name of this machine."""
    import socket  # noqa: PLC0415  only writers need it, and it costs 5 ms of a reader's start

    return socket.gethostname()


def new_uuid() -> str:
    """Return a random UUID (version 4)."""
    number = bytearray(os.urandom(16))
    number[6] = number[6] & 0x0F | 0x40
    number[8] = number[8] & 0x3F | 0x80
    text = number.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def platform() -> "Platform":
    """Return what this process runs on."""
    import platform as facts  # noqa: PLC0415  only statistics need it

    from flagkeep.events.diagnostics import Platform  # noqa: PLC0415  likewise

    return Platform(
        system=facts.system(),
        release=facts.release(),
        machine=facts.machine(),
        python_version=facts.python_version(),
        python_implementation=facts.python_implementation(),
    )
