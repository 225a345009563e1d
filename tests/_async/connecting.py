"""Clients of a fake upstream, and sources whose long times are scaled down."""

import logging
from typing import Any

import msgspec
import pytest

from flagkeep._async.client import AsyncClient
from flagkeep._async.interfaces import AsyncFeatureStore
from flagkeep._async.polling import AsyncPollingSource
from flagkeep._async.streaming import AsyncStreamingSource
from flagkeep._async.upstream_news import UpstreamNews
from flagkeep._runtime.http_aio import AsyncHttp
from flagkeep.config import Config, HttpSettings, Polling, Streaming
from flagkeep.model.context import Context
from flagkeep.model.status import SourceError, SourceState, SourceStatus
from flagkeep.protocol.http import Requester
from flagkeep.testing import AsyncFakeUpstream
from tests._async.hand_source import flag
from tests._async.waiting import until

USER = Context.create("user-key")
KEY = "sdk-key-that-is-secret"
ASKER = Requester(sdk_key=KEY, user_agent="Test/1", instance_id="one")
AT_ONCE = 0.01  # seconds


def data(*values: str, version: int = 1) -> dict[str, Any]:
    """Return what an upstream serves: a flag `f` that gives the first value."""
    return {"flags": {"f": flag("f", *values, version=version)}, "segments": {}}


def streaming(upstream: AsyncFakeUpstream, *, delay: float = AT_ONCE) -> Streaming:
    return Streaming(base_uri=upstream.uri, initial_reconnect_delay=delay)


def polling(upstream: AsyncFakeUpstream, *, interval: float = AT_ONCE) -> Polling:
    """Return settings with an interval that no user can have."""
    settings = Polling(base_uri=upstream.uri)
    msgspec.structs.force_setattr(settings, "interval", interval)
    return settings


def config(source: Any, **more: Any) -> Config:
    return Config(**{"sdk_key": KEY, "send_events": False, "source": source, **more})


def client_of(
    source: Any,
    *,
    store: AsyncFeatureStore | None = None,
    **settings: Any,
) -> AsyncClient:
    """Return a client without events of a source, or of what makes one."""
    return AsyncClient(config(source, **settings), store=store)


class AsyncScaledStreaming:
    """Streaming that gives up on silence after a fraction of a second."""

    def __init__(
        self,
        upstream: AsyncFakeUpstream,
        silence: float,
        *,
        http: HttpSettings | None = None,
    ) -> None:
        self._settings = streaming(upstream)
        self._silence = silence
        self._http = http or HttpSettings()

    def async_source(self) -> AsyncStreamingSource:
        return AsyncStreamingSource(
            self._settings,
            filter=None,
            http=AsyncHttp(self._http),
            requester=ASKER,
            told=UpstreamNews(),
            silence=self._silence,
        )


class AsyncScaledPolling:
    """Polling that gives up on an answer after a fraction of a second."""

    def __init__(
        self,
        upstream: AsyncFakeUpstream,
        patience: float,
        *,
        max_bytes: int = 1_000_000,
    ) -> None:
        self._settings = polling(upstream)
        self._patience = patience
        self.http = AsyncHttp(HttpSettings(read_timeout=0.2, max_response_bytes=max_bytes))

    def async_source(self) -> AsyncPollingSource:
        return AsyncPollingSource(
            self._settings,
            filter=None,
            http=self.http,
            requester=ASKER,
            told=UpstreamNews(),
            patience=self._patience,
        )


# --- what a client says of its source -------------------------------------------------------------


def status_of(client: AsyncClient) -> SourceStatus:
    status = client.status.source
    assert status is not None
    return status


def error_of(client: AsyncClient) -> SourceError:
    error = status_of(client).error
    assert error is not None
    return error


async def until_state(client: AsyncClient, state: SourceState) -> None:
    await until(lambda: status_of(client).state is state)


async def until_error(client: AsyncClient) -> SourceError:
    """Wait for the first error, and return it."""
    await until(lambda: status_of(client).error is not None)
    return error_of(client)


def lines_of(
    caplog: pytest.LogCaptureFixture,
    logger: str = "flagkeep.client",
) -> list[tuple[str, str]]:
    """Return level and text of what somebody should know; no line says a secret."""
    assert KEY not in caplog.text
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == logger and record.levelno >= logging.WARNING
    ]


def levels_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [level for level, _ in lines_of(caplog)]
