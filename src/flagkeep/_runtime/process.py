"""What tells this process from others, for the record that a writer leaves in a store."""

import os


def new_writer_id() -> str:
    """Return a name that no other writer has."""
    return os.urandom(16).hex()


def host_name() -> str:
    """Return the name of this machine."""
    import socket  # noqa: PLC0415  only writers need it, and it costs 5 ms of a reader's start

    return socket.gethostname()
