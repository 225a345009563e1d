"""The one client that `set_config` and `get` share in a process."""

from threading import Lock

from flagkeep._runtime import fork
from flagkeep.errors import ConfigError
from flagkeep.ldclient.client import LDClient
from flagkeep.ldclient.config import Config


class Singleton:
    """A configuration and, from its first use on, a client."""

    def __init__(self) -> None:
        self._lock = Lock()
        fork.watch(self, fork.Rank.LOCK)
        self._config: Config | None = None
        self._client: LDClient | None = None

    def after_fork(self) -> None:
        """In the child of a fork: forget a lock that a thread of the parent may hold."""
        self._lock = Lock()

    def set_config(self, config: Config, start_wait: float) -> None:
        """Use `config` from now on: a client that exists is replaced, then closed."""
        if not isinstance(config, Config):
            raise ConfigError(f"set_config takes a Config, not {type(config).__name__}")
        fork.settle()
        with self._lock:
            self._config = config
            old = self._client
            if old is not None:
                self._client = LDClient(config, start_wait)
        if old is not None:
            old.close()

    def get(self, start_wait: float) -> LDClient:
        """Return the client, made at the first call."""
        client = self._client
        if client is not None:
            return client
        fork.settle()
        with self._lock:
            if self._client is None:
                if self._config is None:
                    raise Exception("set_config was not called")  # noqa: TRY002  as the official
                self._client = LDClient(self._config, start_wait)
            return self._client

    def reset(self) -> None:
        """Close the client and forget it; the configuration stays."""
        fork.settle()
        with self._lock:
            old, self._client = self._client, None
        if old is not None:
            old.close()
