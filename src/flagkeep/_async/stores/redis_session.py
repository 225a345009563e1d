"""A Redis as its stores ask it, whatever they keep there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flagkeep._runtime.redis_errors import checked, is_refused
from flagkeep._runtime.redis_settings import Settings
from flagkeep.errors import ConfigError, MissingExtra, StoreClosed
from flagkeep.storage import redis_commands
from flagkeep.storage.redis_commands import Command
from flagkeep.storage.updates import can_be_stored

if TYPE_CHECKING:
    from flagkeep._async.stores.redis_connections import AsyncConnections, AsyncLease


class AsyncRedisSession:
    """The connections of one store, and what is asked over them.

    Args:
        settings: where to connect, unless something is given.
        client: of redis-py, or None.
        pool: of redis-py, or None.
        purpose: what needs redis-py, if it is not installed.

    Attributes:
        connections: to the server.
        label: what errors call it.

    Raises:
        ConfigError: client or pool cannot be used.
        MissingExtra: redis-py is not installed.
    """

    __slots__ = ("_is_closed", "connections", "label")

    def __init__(self, settings: Settings, client: object, pool: object, *, purpose: str) -> None:
        self.connections = _connections(settings, client, pool, purpose)
        self.label = self.connections.label
        self._is_closed = False

    async def ask(
        self,
        operation: str,
        commands: Sequence[Command],
        *,
        timeout: float | None = None,
        last: float | None = None,
    ) -> list[Any]:
        """Return the answers to `commands`.

        Args:
            operation: what errors call it.
            commands: at least one.
            timeout: seconds for all of it, connecting included.
            last: seconds to wait for the last answer, if that is more than for the others.

        Raises:
            StoreError: there is no complete answer.
        """
        self.check_open(operation)
        async with self.connections.lease(operation, timeout=timeout) as lease:
            replies = await lease.ask(commands, last=last)
        return checked(replies)

    async def ask_together(
        self,
        operation: str,
        commands: Sequence[Command],
        *,
        timeout: float | None,
        last: float | None = None,
    ) -> list[Any]:
        """Return the answers as of one moment; arguments and errors are those of `ask`."""
        self.check_open(operation)
        async with self.connections.lease(operation, timeout=timeout) as lease:
            *queued, replies = await lease.ask(redis_commands.together(commands), last=last)
            if is_refused(queued, "OOM"):
                queued, replies = [], await _ask_full_server(lease, commands, last)
        checked([*queued, replies])
        return checked(replies)

    def check_open(self, operation: str) -> None:
        """Fail if it was closed.

        Raises:
            StoreClosed: it was.
        """
        if self._is_closed:
            raise StoreClosed(self.label, operation)

    async def aclose(self) -> None:
        """Close the connections that were made here; a second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            await self.connections.aclose()


async def _ask_full_server(
    lease: "AsyncLease", commands: Sequence[Command], last: float | None
) -> list[Any]:
    """Return the answers as of one moment where the memory is full."""
    while True:
        answers = await lease.ask(redis_commands.unchanged(commands), last=last)
        watched, *replies, begun, unchanged = answers
        checked([watched, begun, unchanged])
        if unchanged is not None:
            return replies


def checked_prefix(prefix: object) -> str:
    """Return `prefix` if keys may begin with it.

    Raises:
        ConfigError: it has no UTF-8 form.
    """
    if not isinstance(prefix, str) or not can_be_stored(prefix):
        raise ConfigError(f"prefix must be text without lone surrogates, not {prefix!r}")
    return prefix


def _connections(
    settings: Settings, client: object, pool: object, purpose: str
) -> "AsyncConnections":
    """Return the connections of a store. The driver is imported here, which takes its time."""
    try:
        from flagkeep._async.stores.redis_connections import AsyncConnections  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        if exc.name != "redis":
            raise
        raise MissingExtra("redis", purpose) from None
    return AsyncConnections(settings, client, pool)
