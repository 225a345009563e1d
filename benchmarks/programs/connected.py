"""Each SDK as a client that is connected to `programs.upstream`, with everything at its default.

One vocabulary for all of them, so that the programs that measure need not know whom they ask.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

JsonObject = dict[str, Any]
PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Connected:
    """A client that has its data.

    Attributes:
        variation: as the SDK names it; the event is sent by and by.
        track: records an event of the application: name, context.
        identify: records a context.
        deliver: sends the events that wait, and waits for that as far as the SDK can.
        listen: calls a function with each new value of a flag for a context.
        close: ends it.
    """

    variation: Callable[[str, Any, Any], Any]
    track: Callable[[str, Any], Any]
    identify: Callable[[Any], Any]
    deliver: Callable[[], Any]
    listen: Callable[[str, Any, Callable[[Any], None]], Any]
    close: Callable[[], Any]


def context_type(face: str) -> Any:
    """Return the class of contexts of a face."""
    return import_module("ldclient" if face == "official" else "flagkeep").Context


def connect(face: str, url: str) -> Connected:
    """Return a client of `url`, once it has its data."""
    if face == "client":
        return _flagkeep(url)
    return _official("ldclient" if face == "official" else "flagkeep.ldclient", url)


def settings(url: str) -> Any:
    """Return a flagkeep configuration: all defaults, but for where the upstream is."""
    flagkeep = import_module("flagkeep")
    return flagkeep.Config(
        sdk_key="sdk-key",
        source=flagkeep.Streaming(base_uri=url),
        events=flagkeep.EventSettings(base_uri=url),
    )


def import_for(face: str, modules: str = "") -> None:
    """Import the SDK of a face, and modules that it would load when it connects."""
    logging.disable(logging.CRITICAL)
    context_type(face)
    if face == "ldclient":
        import_module("flagkeep.ldclient")
    for name in modules.split():
        import_module(name)


async def connect_async(url: str) -> Any:
    """Return an `AsyncClient` of `url`, once it has its data."""
    client = import_module("flagkeep").AsyncClient(settings(url))
    if not await client.wait_until_ready(PATIENCE):
        sys.exit("the client did not become ready")
    return client


def _flagkeep(url: str) -> Connected:
    client = import_module("flagkeep").Client(settings(url))
    if not client.wait_until_ready(PATIENCE):
        sys.exit("the client did not become ready")

    def listen(key: str, context: Any, listener: Callable[[Any], None]) -> None:
        client.on_value_change(key, context, lambda change: listener(change.new_value))

    return Connected(
        variation=client.variation,
        track=client.track,
        identify=client.identify,
        deliver=client.flush,
        listen=listen,
        close=client.close,
    )


def _official(package: str, url: str) -> Connected:
    sdk = import_module(package)
    config = sdk.Config("sdk-key", base_uri=url, stream_uri=url, events_uri=url)
    client = sdk.LDClient(config, start_wait=PATIENCE)
    if not client.is_initialized():
        sys.exit("the client did not become ready")

    def listen(key: str, context: Any, listener: Callable[[Any], None]) -> None:
        client.flag_tracker.add_flag_value_change_listener(
            key, context, lambda change: listener(change.new_value)
        )

    def deliver() -> None:
        client.flush()

    return Connected(
        variation=client.variation,
        track=client.track,
        identify=client.identify,
        deliver=deliver,
        listen=listen,
        close=client.close,
    )


def run_async(main: Any) -> Any:
    """Run a coroutine to its end."""
    return asyncio.run(main)
