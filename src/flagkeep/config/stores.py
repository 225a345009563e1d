"""How a client uses its store."""

import math
import os
from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from flagkeep.config.checks import (
    check_count,
    check_files,
    check_seconds,
    check_switches,
    check_text,
)
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
            check_seconds("max_age", self.max_age)
        check_seconds("deadline", self.deadline)
        check_switches(self, "push", "prefetch", "repair", "keep_when_wiped")

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
        is_number = isinstance(self.seconds, int | float) and not isinstance(self.seconds, bool)
        if not is_number or not self.seconds >= 0:
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

    ca_file: str | os.PathLike[str] | None = None
    cert_file: str | os.PathLike[str] | None = None
    key_file: str | os.PathLike[str] | None = None
    key_password: str | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        check_files(self)
        if self.key_password is not None:
            check_text(self, "key_password")
        check_switches(self, "verify")

    def __repr__(self) -> str:
        shown = [(name, getattr(self, name)) for name in ("ca_file", "cert_file", "key_file")]
        files = [f"{name}={path!r}, " for name, path in shown if path is not None]
        return f"RedisTLS({''.join(files)}verify={self.verify})"


class BigSegmentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a Big Segment store is asked (evaluation spec, section 2.6).

    Attributes:
        context_cache_size: memberships that are remembered.
        context_cache_time: seconds for which each is.
        status_poll_interval: seconds between questions how old the data is.
        stale_after: seconds after which data counts as stale.
    """

    context_cache_size: int = 1000
    context_cache_time: float = 5.0
    status_poll_interval: float = 5.0
    stale_after: float = 120.0

    def __post_init__(self) -> None:
        check_count("context_cache_size", self.context_cache_size)
        for name in ("context_cache_time", "status_poll_interval", "stale_after"):
            check_seconds(name, getattr(self, name))
