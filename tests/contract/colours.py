"""The one place where the service knows that there are two clients.

Everything else calls a client through `settle`, and hands it objects whose methods go through
`outside`: they return a value to a `Client`, and an awaitable to an `AsyncClient`.
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar, Final, Protocol

from flagkeep import AsyncClient, AsyncMigrator, Client, Migrator, stores


class Outside(Protocol):
    """Runs functions that block, one after the other, for the client that asks."""

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the function returns, or what to await for it."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Colour(ABC):
    """What differs between the clients.

    Attributes:
        name: `sync` or `async`.
        client_type: the client's class.
        migrator_type: the class of its migrator.
        stores: the classes of its stores, by the names that the harness has for databases;
            `memory` is one that nobody else sees.
        close_name: the name of its method that closes.
    """

    name: ClassVar[str]
    client_type: ClassVar[type[Any]]
    migrator_type: ClassVar[type[Any]]
    stores: ClassVar[Mapping[str, type[Any]]]
    close_name: ClassVar[str]

    @abstractmethod
    def settle(self, call: Callable[[], Any]) -> Any:
        """Call something of a client, wherever clients live, and wait for its result."""

    @abstractmethod
    def new_outside(self) -> Outside:
        """Return what runs functions that block."""

    @abstractmethod
    def end(self) -> None:
        """Let go of everything."""


class SyncColour(Colour):
    """`Client`: whoever asks does the work."""

    name = "sync"
    client_type = Client
    migrator_type = Migrator
    stores: ClassVar[Mapping[str, type[Any]]] = {
        "memory": stores.MemoryStore,
        "redis": stores.RedisStore,
        "dynamodb": stores.DynamoDBStore,
        "consul": stores.ConsulStore,
    }
    close_name = "close"

    def settle(self, call: Callable[[], Any]) -> Any:
        """Call it."""
        return call()

    def new_outside(self) -> Outside:
        """Return what just calls."""
        return _Here()

    def end(self) -> None:
        """Do nothing."""


class AsyncColour(Colour):
    """`AsyncClient`: all of them live on one event loop, in a thread of its own."""

    name = "async"
    client_type = AsyncClient
    migrator_type = AsyncMigrator
    stores: ClassVar[Mapping[str, type[Any]]] = {
        "memory": stores.AsyncMemoryStore,
        "redis": stores.AsyncRedisStore,
        "dynamodb": stores.AsyncDynamoDBStore,
        "consul": stores.AsyncConsulStore,
    }
    close_name = "aclose"

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="contract-loop")
        self._thread.start()

    def settle(self, call: Callable[[], Any]) -> Any:
        """Call it on the loop, and await what it returns."""

        async def settled() -> Any:
            result = call()
            return await result if isinstance(result, Awaitable) else result

        return asyncio.run_coroutine_threadsafe(settled(), self._loop).result()

    def new_outside(self) -> Outside:
        """Return what calls in a thread of its own, so that the loop goes on meanwhile."""
        return _Beside(self._loop)

    def end(self) -> None:
        """Stop the loop."""
        ending = self._loop.shutdown_default_executor()
        asyncio.run_coroutine_threadsafe(ending, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Here:
    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def close(self) -> None:
        """Do nothing."""


class _Beside:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # One thread: what is begun in some order is done in that order.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="contract-callback")

    async def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        call = partial(function, *arguments)
        return await self._loop.run_in_executor(self._executor, call)

    def close(self) -> None:
        self._executor.shutdown(wait=False)


COLOURS: Final[dict[str, Callable[[], Colour]]] = {"sync": SyncColour, "async": AsyncColour}
