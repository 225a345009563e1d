"""What the errors of a Redis and of its driver mean; the seam is here for both colours.

The driver is not imported: its errors are told apart by the names of their classes, which do not
change, and by the server's own codes. No error keeps a reference to the driver's: those may hold
arguments of commands, and so a password.
"""

from collections.abc import Sequence
from typing import Any, Final

from flagkeep.errors import StoreCorrupt, StoreError, StoreUnavailable
from flagkeep.storage.redis_commands import EXEC, Command

ACL: Final = (
    "~P:* -@all +client|tracking +hello +select +ping +watch +unwatch +multi +exec +exists +hget"
    " +hmget +hgetall +hlen"
)
_WRITERS: Final = "+del +hset +hdel +set +eval"
BIG_SEGMENTS_ACL: Final = "~P:big_segment* -@all +select +watch +multi +exec +get +smembers"
_OF_BIG_SEGMENTS: Final = frozenset(("get_membership", "get_metadata"))

# redis-py takes the code away from texts whose errors have a class of their own.
_CODES: Final = {
    "AskError": "ASK",
    "AuthenticationError": "WRONGPASS",
    "AuthenticationWrongNumberOfArgsError": "WRONGPASS",
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "ExecAbortError": "EXECABORT",
    "InvalidResponse": "PROTOCOL",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "NoScriptError": "NOSCRIPT",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}

_CLUSTER: Final = (
    "this is one server of a Redis Cluster, where all keys must be in one slot and on this server:"
    " give the prefix a hash tag such as {launchdarkly}, and the address of the slot's server"
)
_REASONS: Final = {
    "ASK": _CLUSTER,
    "CLUSTERDOWN": "the cluster is down: wait until all slots are served again",
    "CROSSSLOT": _CLUSTER,
    "LOADING": "the server is loading its data: it will answer soon",
    "MASTERDOWN": "the replica has lost its master and serves no old data",
    "MISCONF": "the server cannot save its data to disk and takes no writes: free some disk space",
    "MOVED": _CLUSTER,
    "NOAUTH": "the server asks for a password: give user name and password",
    "OOM": "the server's memory is full (maxmemory): free some, or give it more",
    "PROTOCOL": "what answers there is no Redis server: check host and port, and redis:// or rediss://",
    "READONLY": "the server is a read-only replica: give the address of the master",
    "TRYAGAIN": _CLUSTER,
    "WRONGPASS": "the server refuses user name and password: check both",
}


# What a server says that does not let this user run scripts, or anybody.
NO_SCRIPTS: Final = frozenset(("ERR", "NOPERM", "NOSCRIPT"))


# A whole environment may take so many times longer to arrive, or to be written, than one answer.
LONG: Final = 10

_ABOUT_ONE_KEY: Final = frozenset(
    (b"GET", b"HDEL", b"HGET", b"HGETALL", b"HMGET", b"HSET", b"SMEMBERS")
)


class NoRoom(Exception):
    """All connections are in use, and none came back in time."""


class NoConnection(Exception):
    """There was no connection within so many seconds, which are its argument."""


class CommandRefused(StoreUnavailable):
    """The server answered a command with an error.

    Attributes:
        code: the first word of the server's answer, such as `NOPERM`.
    """

    def __init__(self, store: str, operation: str, reason: str, code: str) -> None:
        super().__init__(store, operation, reason)
        self.code = code


def translated(exc: BaseException, store: str, operation: str, *, timeout: float) -> StoreError:
    """Return what an error that ended a conversation means to the user of a store.

    Args:
        exc: of the driver, or of the system.
        store: what errors call it.
        operation: what was tried.
        timeout: seconds that were waited for the answer.
    """
    if isinstance(exc, NoConnection):
        return StoreUnavailable(store, operation, f"no connection within {exc.args[0]:.3g} s")
    if isinstance(exc, TimeoutError) or type(exc).__name__ == "TimeoutError":
        return StoreUnavailable(store, operation, f"no answer within {timeout:.3g} s")
    if isinstance(exc, ValueError):
        return CommandRefused(store, operation, _REASONS["PROTOCOL"], "PROTOCOL")
    if _is(exc, "ResponseError") or type(exc).__name__ in _CODES:
        return refusal(exc, store, operation)
    if isinstance(exc, NoRoom) or "oo many connections" in str(exc):
        reason = "all connections of the pool are in use: give it more (max_connections)"
        return StoreUnavailable(store, operation, reason)
    text = str(exc).strip().rstrip(".") or type(exc).__name__
    if "max number of clients" in text:
        reason = "the server has too many clients (maxclients)"
    elif "onnecting to" in text or isinstance(exc, OSError):
        reason = _why_not_connected(exc)
    else:
        reason = f"the connection was lost ({text})"
    return StoreUnavailable(store, operation, reason)


def _why_not_connected(exc: BaseException) -> str:
    """Return what the system said; the driver's own words differ between its releases."""
    cause: BaseException | None = exc
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return f"cannot connect ({exc})"
    text = getattr(cause, "verify_message", None) or cause.strerror or str(cause) or "reset"
    if type(cause).__name__.startswith("SSL"):
        return (
            f"cannot connect with TLS ({text}): check the certificates, and that both sides use it"
        )
    return f"cannot connect ({text}): is the server running, and the address right?"


def refusal(exc: BaseException, store: str, operation: str, command: Command = ()) -> StoreError:
    """Return what the server's answer to one command means.

    Args:
        exc: the driver's form of it.
        store: what errors call it.
        operation: what was tried.
        command: which one it was, if that is known.
    """
    text = _without_arguments(str(exc))
    code = _code(exc, text)
    _, _, cause = text.partition("discarded because of: ")
    if cause:  # what EXEC says where EXEC itself was refused
        text, code = cause, cause.partition(" ")[0]
    if code == "WRONGTYPE":
        where = "a key of this prefix"
        if len(command) > 1 and command[0] in _ABOUT_ONE_KEY:
            where = f"the key {command[1].decode(errors='backslashreplace')}"
        reason = f"{where} holds something else than a store writes there: move it away"
        return StoreCorrupt(store, operation, reason)
    if code == "NOPERM":
        needed = f"readers need {ACL}, writers also {_WRITERS}"
        if operation in _OF_BIG_SEGMENTS:
            needed = f"who reads Big Segments needs {BIG_SEGMENTS_ACL}"
        reason = (
            f"the user may not do this ({text.removeprefix('NOPERM ')}); {needed}, where P is the"
            " prefix"
        )
    elif code == "WRONGPASS" and "required" in text:
        code, reason = "NOAUTH", _REASONS["NOAUTH"]
    elif "max number of clients" in text:
        reason = "the server has too many clients (maxclients)"
    else:
        reason = _REASONS.get(code, f"the server refuses it: {text}")
    return CommandRefused(store, operation, reason, code)


def refusals_marked(
    replies: list[Any], commands: Sequence[Command], store: str, operation: str
) -> list[Any]:
    """Return `replies` with the server's errors as StoreErrors, those in EXEC's answer too."""
    for place, reply in enumerate(replies):
        if isinstance(reply, Exception):
            replies[place] = refusal(reply, store, operation, commands[place])
        elif commands[place] == EXEC and reply:
            # The commands of a transaction stand before EXEC, one after the other.
            queued = commands[place - len(reply) : place]
            replies[place] = [
                refusal(one, store, operation, command) if isinstance(one, Exception) else one
                for one, command in zip(reply, queued, strict=True)
            ]
    return replies


def is_refused(replies: Sequence[Any], code: str) -> bool:
    """Return whether one of `replies` is a refusal with this code."""
    return any(isinstance(reply, CommandRefused) and reply.code == code for reply in replies)


def checked(replies: list[Any]) -> list[Any]:
    """Return `replies`, or raise the first refusal in them."""
    for reply in replies:
        if isinstance(reply, StoreError):
            raise reply
    return replies


def _code(exc: BaseException, text: str) -> str:
    for kind in type(exc).__mro__:
        if kind.__name__ in _CODES:
            return _CODES[kind.__name__]
    word = text.partition(" ")[0]
    return word if word.isupper() else "ERR"


def _is(exc: BaseException, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(exc).__mro__)


def _without_arguments(text: str) -> str:
    """Leave out what the server quotes of a command: it may be a password."""
    return text.partition(", with args")[0].partition(" with args")[0]
