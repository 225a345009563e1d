"""An upstream that runs inside a test: streams, polls and events over real HTTP on loopback."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar

from flagkeep.testing.upstream_base import Upstream, Wish
from flagkeep.testing.upstream_messages import Request

T = TypeVar("T")

_LOOK_EVERY: Final = 0.002  # seconds


class FakeUpstream(Upstream):
    """A server that plays the flag service, its polls and its event receiver, for tests.

    ```python
    with FakeUpstream({"flags": {"f": {"key": "f", "version": 1, "on": False}}}) as upstream:
        run(upstream.uri)
        upstream.wait_for_request("/all")
    ```

    It is a real HTTP/1.1 server on a free port of loopback, with a thread of its own.

    Args:
        data: what it serves first: `{"flags": …, "segments": …}`, or a `TestData`, whose later
            changes are sent to the open streams too.
        tls: speaks TLS, with the certificate in this context.
        sdk_key: answers 401 to everybody who does not send it.
    """

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, _: object, error: object, __: object) -> None:
        self._leave(error)

    def wait_until(
        self, holds: Callable[[], bool], timeout: float = 5.0, *, what: str = "it did not happen"
    ) -> None:
        """Wait until `holds` returns true; it is called again and again.

        Args:
            what: for the message of the failure.

        Raises:
            UpstreamTimeout: an AssertionError that says what the upstream saw instead.
        """
        self._wait(self._wish(holds, what), timeout)

    def wait_for_request(self, path_prefix: str, count: int = 1, timeout: float = 5.0) -> Request:
        """Wait until there were `count` requests to a path, and return the last of them.

        Raises:
            UpstreamTimeout: there were fewer.
        """
        return self._wait(self._request(path_prefix, count), timeout)

    def wait_for_streams(self, count: int = 1, timeout: float = 5.0) -> None:
        """Wait until exactly `count` streams are open.

        Raises:
            UpstreamTimeout: there were more or fewer.
        """
        self._wait(self._streams(count), timeout)

    def wait_for_events(
        self, kind: str | None = None, count: int = 1, timeout: float = 5.0
    ) -> list[dict[str, Any]]:
        """Wait until `count` analytics events (of one `kind`) were accepted; return them all.

        Raises:
            UpstreamTimeout: there were fewer.
        """
        return self._wait(self._events(kind, count), timeout)

    def _wait(self, wish: Wish[T], timeout: float) -> T:
        deadline = time.monotonic() + timeout
        while not wish.holds():
            if time.monotonic() >= deadline:
                raise self._missed(wish, timeout)
            time.sleep(_LOOK_EVERY)
        return wish.result()


class AsyncFakeUpstream(Upstream):
    """`FakeUpstream` for tests that run in an event loop: what waits there is awaited here.

    ```python
    async with AsyncFakeUpstream() as upstream:
        await run(upstream.uri)
        await upstream.wait_for_request("/all")
    ```
    """

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, _: object, error: object, __: object) -> None:
        await asyncio.to_thread(self._leave, error)

    async def wait_until(
        self, holds: Callable[[], bool], timeout: float = 5.0, *, what: str = "it did not happen"
    ) -> None:
        """Wait until `holds` returns true; it is called again and again, on this event loop.

        Args:
            what: for the message of the failure.

        Raises:
            UpstreamTimeout: an AssertionError that says what the upstream saw instead.
        """
        await self._wait(self._wish(holds, what), timeout)

    async def wait_for_request(
        self, path_prefix: str, count: int = 1, timeout: float = 5.0
    ) -> Request:
        """Wait until there were `count` requests to a path, and return the last of them.

        Raises:
            UpstreamTimeout: there were fewer.
        """
        return await self._wait(self._request(path_prefix, count), timeout)

    async def wait_for_streams(self, count: int = 1, timeout: float = 5.0) -> None:
        """Wait until exactly `count` streams are open.

        Raises:
            UpstreamTimeout: there were more or fewer.
        """
        await self._wait(self._streams(count), timeout)

    async def wait_for_events(
        self, kind: str | None = None, count: int = 1, timeout: float = 5.0
    ) -> list[dict[str, Any]]:
        """Wait until `count` analytics events (of one `kind`) were accepted; return them all.

        Raises:
            UpstreamTimeout: there were fewer.
        """
        return await self._wait(self._events(kind, count), timeout)

    async def _wait(self, wish: Wish[T], timeout: float) -> T:
        deadline = time.monotonic() + timeout
        while not wish.holds():
            if time.monotonic() >= deadline:
                raise self._missed(wish, timeout)
            await asyncio.sleep(_LOOK_EVERY)
        return wish.result()
