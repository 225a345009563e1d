"""Where flag data comes from."""

import logging
import os
from typing import Any, Final, NoReturn, Protocol

import msgspec

from flagkeep.config.checks import check_seconds, check_switches, check_uri
from flagkeep.errors import ConfigError

log = logging.getLogger("flagkeep.client")

POLL_URI: Final = "https://app.launchdarkly.com"
STREAM_URI: Final = "https://stream.launchdarkly.com"
MIN_POLL_INTERVAL: Final = 30


class Streaming(msgspec.Struct, frozen=True, kw_only=True):
    """Flag data comes over a stream, change by change, from LaunchDarkly or a relay.

    Attributes:
        base_uri: of the streaming service.
        initial_reconnect_delay: seconds before the first new try; doubles up to 30.
    """

    base_uri: str = STREAM_URI
    initial_reconnect_delay: float = 1.0

    def __post_init__(self) -> None:
        check_uri(self, "base_uri")
        check_seconds("initial_reconnect_delay", self.initial_reconnect_delay)


class Polling(msgspec.Struct, frozen=True, kw_only=True):
    """Flag data is fetched whole, again and again, from LaunchDarkly or a relay.

    Attributes:
        base_uri: of the polling service.
        interval: seconds between the end of one request and the next; at least 30.
    """

    base_uri: str = POLL_URI
    interval: float = 30.0

    def __post_init__(self) -> None:
        check_uri(self, "base_uri")
        check_seconds("interval", self.interval)
        if self.interval < MIN_POLL_INTERVAL:
            log.warning("a poll interval below %d s is taken for that", MIN_POLL_INTERVAL)
            msgspec.structs.force_setattr(self, "interval", float(MIN_POLL_INTERVAL))


class FileSource:
    """Settings of a source that reads files: JSON, or YAML with the `files` extra.

    Attributes:
        paths: the files, whose contents are merged.
        reload: whether changes of the files are followed.
        force_polling: look at the files' times instead of using the system's notification.
        poll_interval: seconds between two looks where there is no notification.
    """

    __slots__ = ("force_polling", "paths", "poll_interval", "reload")

    paths: tuple[str, ...]
    reload: bool
    force_polling: bool
    poll_interval: float

    def __init__(
        self,
        *paths: str | os.PathLike[str],
        reload: bool = True,
        force_polling: bool = False,
        poll_interval: float = 1.0,
    ) -> None:
        if not paths:
            raise ConfigError("FileSource needs at least one path")
        for path in paths:
            if not isinstance(path, str | os.PathLike):
                raise ConfigError(f"a path of FileSource must be a string or Path, not {path!r}")
        check_seconds("poll_interval", poll_interval)
        setting = object.__setattr__
        setting(self, "paths", tuple(os.fspath(path) for path in paths))
        setting(self, "reload", reload)
        setting(self, "force_polling", force_polling)
        setting(self, "poll_interval", poll_interval)
        check_switches(self, "reload", "force_polling")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name}: settings cannot be changed, make a new FileSource")

    def __repr__(self) -> str:
        return f"FileSource({', '.join(map(repr, self.paths))})"


class SourceFactory(Protocol):
    """A custom source of flag data, for `Client`. One object may be this and the other one too."""

    def source(self) -> Any:
        """Return a new source for a `Client`."""
        ...


class AsyncSourceFactory(Protocol):
    """A custom source of flag data, for `AsyncClient`."""

    def async_source(self) -> Any:
        """Return a new source for an `AsyncClient`."""
        ...


def is_source(source: object) -> bool:
    """Whether a client can take its data from it."""
    if isinstance(source, FileSource | Streaming | Polling):
        return True
    if isinstance(source, type):  # an object of it is meant
        return False
    return any(callable(getattr(source, name, None)) for name in ("source", "async_source"))
