"""What both colours know of sockets and addresses."""

import encodings.idna  # noqa: F401  names are looked up with it; it must be there before any fork
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from flagkeep._runtime.http_stop import shut_down

T = TypeVar("T")

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_MOST_MS: Final = 2**31 - 1  # `poll` refuses to wait longer: 24 days


def limits_of(addresses: Sequence[T], seconds: float | None) -> Iterator[tuple[T, float | None]]:
    """Yield each address of a server and how long to try it, so that none takes all the time."""
    ends = None if seconds is None else time.monotonic() + seconds
    for number, address in enumerate(addresses):
        left = None if ends is None else max(ends - time.monotonic(), 0.001)
        yield address, None if left is None else left / (len(addresses) - number)


Found = list[Any] | OSError


def finder_of(host: str, port: int) -> Callable[[], Found]:
    """Return what looks up the addresses of a server."""

    def find() -> Found:
        try:
            return _look_up(host, port)
        except OSError as exc:
            return exc
        except UnicodeError:
            return socket.gaierror(socket.EAI_NONAME, "not a name")

    return find


def _look_up(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except RuntimeError:  # gevent's way takes a thread, and none can begin at the end of a process
        monkey = sys.modules.get("gevent.monkey")
        if monkey is None:
            raise
        plain: Any = monkey.get_original("socket", "getaddrinfo")
        found: list[Any] = plain(host, port, type=socket.SOCK_STREAM)
        return found


def aside(fn: Callable[[], None]) -> None:
    """Look a name up beside the caller: nothing can end that, but it can be left behind.

    On the caller's time where no thread can begin, as at the end of a process.
    """
    try:
        threading.Thread(target=fn, name="flagkeep-lookup", daemon=True).start()
    except RuntimeError:
        fn()


def addresses_in(found: Found) -> list[Any]:
    """Return the addresses, or raise why there are none."""
    if isinstance(found, OSError):
        raise found
    return found


def is_number(host: str) -> bool:
    """Whether it is an address already, and no name."""
    for family in _FAMILIES:
        with suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def is_ready_to_read(sock: socket.socket) -> bool:
    """Whether something has come, be it the end. Nothing should, before it is asked for."""
    return _is_ready(sock, "read", 0)


def is_connected(sock: socket.socket, seconds: float | None) -> bool:
    """Wait until a connection stands or has failed, so many seconds at most."""
    return _is_ready(sock, "write", seconds)


def _is_ready(sock: socket.socket, to: str, seconds: float | None) -> bool:
    if sock.fileno() < 0:
        return True
    # Looked up at each call: gevent puts its own in their place.
    if hasattr(select, "poll"):
        poll: Any = select.poll()
        poll.register(sock, select.POLLIN if to == "read" else select.POLLOUT)
        return bool(poll.poll(None if seconds is None else min(seconds * 1000, _MOST_MS)))
    wanted = ([sock], [], []) if to == "read" else ([], [sock], [sock])
    return any(select.select(*wanted, seconds))


def close(sock: socket.socket) -> None:
    """Close a connection; also where another process has its socket."""
    with suppress(OSError):
        shut_down(sock)
    sock.close()
