"""One configuration for both clients: settings only, no live objects, safe to share.

Stores are live objects and are handed to the client itself. Settings are checked here, at once.
"""

import math
import os
from collections.abc import Mapping
from typing import Any, Final, NoReturn, Protocol, Self

import msgspec

from flagkeep.errors import ConfigError

_FLAGS: Final = {"0": False, "1": True}


class StorePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How far the client goes beyond what other SDKs do with a persistent store.

    Attributes:
        push: changes arrive as they are written; off: when the cache's time runs out.
        prefetch: a reader holds the whole environment in memory after its first reads.
        repair: a writer refills a store that lost its data.
        keep_when_wiped: data that vanished from the store is still served, marked with its age.
        max_age: how long, in seconds, data is served that cannot be refreshed; None: for ever.
        deadline: how long, in seconds, all reads of one evaluation may take together.
    """

    push: bool = True
    prefetch: bool = True
    repair: bool = True
    keep_when_wiped: bool = True
    max_age: float | None = None
    deadline: float = 1.0

    def __post_init__(self) -> None:
        if self.max_age is not None:
            _check_seconds("max_age", self.max_age)
        _check_seconds("deadline", self.deadline)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Return the defaults as changed by `FLAGKEEP_PUSH`, `FLAGKEEP_MAX_AGE` and so on.

        Raises:
            ConfigError: a variable is not `0` or `1`, or not a number of seconds.
        """
        given = os.environ if environment is None else environment
        settings: dict[str, Any] = {}
        for name in ("push", "prefetch", "repair", "keep_when_wiped"):
            variable = f"FLAGKEEP_{name.upper()}"
            if variable in given:
                if given[variable] not in _FLAGS:
                    raise ConfigError(f"{variable} must be 0 or 1, not {given[variable]!r}")
                settings[name] = _FLAGS[given[variable]]
        for name in ("max_age", "deadline"):
            variable = f"FLAGKEEP_{name.upper()}"
            if variable in given:
                try:
                    settings[name] = float(given[variable])
                except ValueError:
                    problem = f"{variable} must be a number of seconds, not {given[variable]!r}"
                    raise ConfigError(problem) from None
        return cls(**settings)


class CachePolicy(msgspec.Struct, frozen=True):
    """How long what was read from a store counts as fresh.

    Attributes:
        seconds: 0 is off (every evaluation asks the store), infinity never reads again.
    """

    seconds: float = 15.0

    def __post_init__(self) -> None:
        if not isinstance(self.seconds, int | float) or not self.seconds >= 0:
            raise ConfigError(f"a cache time must be 0 or more seconds, not {self.seconds!r}")

    @classmethod
    def off(cls) -> Self:
        """Ask the store at every evaluation."""
        return cls(0.0)

    @classmethod
    def forever(cls) -> Self:
        """Never read again because of age; pushed changes still apply."""
        return cls(math.inf)

    @property
    def is_off(self) -> bool:
        """Whether every evaluation asks the store."""
        return self.seconds == 0


class RedisTLS(msgspec.Struct, frozen=True, kw_only=True):
    """How connections to a Redis are encrypted; for URLs that begin with `rediss://`.

    Attributes:
        ca_file: certificates to trust, in PEM form; None: those of the system.
        cert_file: our own certificate, for servers that ask for one.
        key_file: its key; None: it is in `cert_file`.
        key_password: of the key, if it is encrypted.
        verify: whether the server's certificate and name are checked.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        for name in ("ca_file", "cert_file", "key_file"):
            path = getattr(self, name)
            if path is None:
                continue
            if not isinstance(path, str | os.PathLike):
                raise ConfigError(f"{name} must be a path, not {type(path).__name__}")
            msgspec.structs.force_setattr(self, name, os.fspath(path))
            if not os.access(path, os.R_OK):
                raise ConfigError(f"{name}: there is no file {os.fspath(path)!r} that can be read")
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError("key_file needs cert_file: the certificate that the key belongs to")

    def __repr__(self) -> str:
        shown = [(name, getattr(self, name)) for name in ("ca_file", "cert_file", "key_file")]
        files = [f"{name}={path!r}, " for name, path in shown if path is not None]
        return f"RedisTLS({''.join(files)}verify={self.verify})"


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
        _check_seconds("poll_interval", poll_interval)
        setting = object.__setattr__
        setting(self, "paths", tuple(os.fspath(path) for path in paths))
        setting(self, "reload", reload)
        setting(self, "force_polling", force_polling)
        setting(self, "poll_interval", poll_interval)

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


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a client.

    Attributes:
        sdk_key: names the environment upstream; not needed in daemon mode, offline, with files.
        source: where flag data comes from: `FileSource`, test data, or a factory of one's own.
        daemon: only read the store, which some other process fills.
        offline: no source, no store: every evaluation answers the default.
        defaults: by flag key; outrank the default of the caller.
        cache: how long what was read from the store counts as fresh.
        store_policy: None takes it from the environment variables `FLAGKEEP_*`.
    """

    sdk_key: str = ""
    source: FileSource | SourceFactory | AsyncSourceFactory | None = None
    daemon: bool = False
    offline: bool = False
    defaults: Mapping[str, Any] = {}
    cache: CachePolicy = CachePolicy()
    store_policy: StorePolicy | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.sdk_key, str):
            raise ConfigError(f"sdk_key must be a string, not {type(self.sdk_key).__name__}")
        if self.daemon and self.source is not None:
            raise ConfigError("daemon=True means that another process has the source: drop one")
        if self.source is not None and not _is_source(self.source):
            raise ConfigError(
                "source must be a FileSource, TestData, or an object with methods source() and"
                f" async_source(), not {type(self.source).__name__}"
            )
        if not isinstance(self.defaults, Mapping):
            raise ConfigError("defaults must be a mapping of values by flag key")
        msgspec.structs.force_setattr(self, "defaults", dict(self.defaults))


def _is_source(source: object) -> bool:
    if isinstance(source, FileSource):
        return True
    return any(callable(getattr(source, name, None)) for name in ("source", "async_source"))


def _check_seconds(name: str, seconds: object) -> None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds < math.inf:  # type: ignore[operator]  # is_number says so
        raise ConfigError(f"{name} must be a number of seconds above 0, not {seconds!r}")
