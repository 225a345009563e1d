"""HTTP in both colours behind one face, so that each behaviour is tested once, in both."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import pytest

from flagkeep._runtime.http_aio import AsyncHttp, AsyncHttpStream
from flagkeep._runtime.http_response import HttpResponse
from flagkeep._runtime.http_threads import Http
from flagkeep.config import HttpSettings
from flagkeep.errors import UpstreamUnavailable

T = TypeVar("T")


class AnyStream(Protocol):
    """A stream of either colour."""

    status: int
    headers: Mapping[str, str]

    def open(self) -> None: ...
    def read(self) -> bytes: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...


class AnyHttp(Protocol):
    """HTTP of either colour."""

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout: float | None = None,
    ) -> HttpResponse: ...
    def stream(self, url: str, headers: Mapping[str, str], *, silence: float) -> AnyStream: ...
    def close(self) -> None: ...


class _InLoop:
    """AsyncHttp, in a loop that runs in a thread of its own."""

    def __init__(self, settings: HttpSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._http = AsyncHttp(settings)
        self._loop = loop

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout: float | None = None,
    ) -> HttpResponse:
        return _wait(self._loop, self._http.request(method, url, headers, body, timeout=timeout))

    def stream(self, url: str, headers: Mapping[str, str], *, silence: float) -> "_StreamInLoop":
        return _StreamInLoop(self._http.stream(url, headers, silence=silence), self._loop)

    def close(self) -> None:
        _wait(self._loop, self._http.aclose())


class _StreamInLoop:
    def __init__(self, stream: AsyncHttpStream, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self.stop = stream.stop

    @property
    def status(self) -> int:
        return self._stream.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._stream.headers

    def open(self) -> None:
        _wait(self._loop, self._stream.open())

    def read(self) -> bytes:
        return _wait(self._loop, self._stream.read())

    def close(self) -> None:
        _wait(self._loop, self._stream.aclose())


def _wait(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(work, loop).result(60)


Maker = Callable[..., AnyHttp]


def problem_of(http: AnyHttp, url: str, **more: Any) -> str:
    """Return why there is no answer to a GET."""
    with pytest.raises(UpstreamUnavailable) as caught:
        http.request("GET", url, {}, **more)
    return str(caught.value)


@contextmanager
def makers(colour: str) -> Iterator[Maker]:
    """Give a function that makes HTTP from keyword settings; all is closed at the end."""
    made: list[AnyHttp] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="http-loop")
    thread.start()

    def make(**settings: Any) -> AnyHttp:
        given = HttpSettings(**settings)
        http: AnyHttp = Http(given) if colour == "threads" else _InLoop(given, loop)  # type: ignore[assignment]  # mypy wants settable attributes
        made.append(http)
        return http

    try:
        yield make
    finally:
        for http in made:
            http.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
