"""Databases to keep flags in, and sources of flags that need no service."""

import os
from collections.abc import Iterable, Mapping
from threading import Event
from typing import Any, Final, Never

from flagkeep import config as core
from flagkeep._sync.file_source import FileDataSource
from flagkeep.errors import NotBuiltYet
from flagkeep.ldclient import _consul, _dynamodb, _redis
from flagkeep.ldclient._processor import SourceProcessor
from flagkeep.ldclient.async_feature_store_helpers import AsyncCachingStoreWrapper
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.ldclient.interfaces import (
    AsyncBigSegmentStore,
    BigSegmentStore,
    UpdateProcessor,
)

_DEFAULT_CACHE: Final = CacheConfig.default()
_NO_OPTIONS: Final[Mapping[str, Any]] = {}


class Consul:
    """Feature stores in Consul's key-value store."""

    DEFAULT_PREFIX: Final = _consul.DEFAULT_PREFIX

    @staticmethod
    def new_feature_store(
        host: str | None = None,
        port: int | None = None,
        prefix: str | None = None,
        consul_opts: Mapping[str, Any] | None = None,
        caching: CacheConfig = _DEFAULT_CACHE,
    ) -> CachingStoreWrapper:
        """Return a feature store in Consul, for `Config(feature_store=…)`. It connects when used.

        The variables `CONSUL_HTTP_ADDR`, `CONSUL_HTTP_TOKEN`, `CONSUL_HTTP_SSL` and
        `CONSUL_HTTP_SSL_VERIFY` of the environment outrank the arguments, as with python-consul.

        Args:
            host: of the agent; this machine if not given.
            port: 8500 if not given.
            prefix: what all its keys in Consul begin with.
            consul_opts: arguments of python-consul's constructor: `host`, `port`, `token`,
                `scheme`, `consistency`, `dc`, `verify`, `cert`. python-consul itself is not needed.
            caching: how long items are kept in memory.

        Raises:
            ConfigError: an argument or a variable of the environment cannot work.
        """
        return CachingStoreWrapper(_consul.consul_core(host, port, prefix, consul_opts), caching)

    @staticmethod
    def async_feature_store(
        host: str | None = None,
        port: int | None = None,
        prefix: str | None = None,
        consul_opts: Mapping[str, Any] | None = None,
        caching: CacheConfig = _DEFAULT_CACHE,
    ) -> AsyncCachingStoreWrapper:
        """Return one for asyncio; all as for `new_feature_store`. The official SDK has none."""
        core = _consul.async_consul_core(host, port, prefix, consul_opts)
        return AsyncCachingStoreWrapper(core, caching)


class DynamoDB:
    """Feature stores and Big Segment stores in DynamoDB.

    The table must be there, with the partition key `namespace` and the sort key `key`, both
    strings. Credentials, region and endpoint that `dynamodb_opts` does not name, boto3 finds in the
    environment, in AWS's configuration files or at the machine's role.
    """

    @staticmethod
    def new_feature_store(
        table_name: str,
        prefix: str | None = None,
        dynamodb_opts: Mapping[str, Any] = _NO_OPTIONS,
        caching: CacheConfig = _DEFAULT_CACHE,
    ) -> CachingStoreWrapper:
        """Return a feature store in a table, for `Config(feature_store=…)`. It connects when used.

        Args:
            table_name: of the table.
            prefix: separates environments in one table; none if not given.
            dynamodb_opts: arguments of boto3's client, such as `region_name`.
            caching: how long items are kept in memory.

        Raises:
            ConfigError: the name or an option cannot work.
            NotImplementedError: boto3 is not installed.
        """
        core = _dynamodb.dynamodb_core(table_name, prefix, dynamodb_opts)
        return CachingStoreWrapper(core, caching)

    @staticmethod
    def new_big_segment_store(
        table_name: str,
        prefix: str | None = None,
        dynamodb_opts: Mapping[str, Any] = _NO_OPTIONS,
    ) -> BigSegmentStore:
        """Return a Big Segment store in a table, for `BigSegmentsConfig(store=…)`.

        Arguments and errors are those of `new_feature_store`.
        """
        return _dynamodb.dynamodb_big_segments(table_name, prefix, dynamodb_opts)

    @staticmethod
    def async_feature_store(
        table_name: str,
        prefix: str | None = None,
        dynamodb_opts: Mapping[str, Any] = _NO_OPTIONS,
        caching: CacheConfig = _DEFAULT_CACHE,
    ) -> AsyncCachingStoreWrapper:
        """Return a feature store in a table for asyncio; all as for `new_feature_store`."""
        core = _dynamodb.async_dynamodb_core(table_name, prefix, dynamodb_opts)
        return AsyncCachingStoreWrapper(core, caching)

    @staticmethod
    def async_big_segment_store(
        table_name: str,
        prefix: str | None = None,
        dynamodb_opts: Mapping[str, Any] = _NO_OPTIONS,
    ) -> AsyncBigSegmentStore:
        """Return a Big Segment store in a table for asyncio. The official SDK has none."""
        return _dynamodb.async_dynamodb_big_segments(table_name, prefix, dynamodb_opts)


class Redis:
    """Feature stores and Big Segment stores in Redis."""

    DEFAULT_URL: Final = _redis.DEFAULT_URL
    DEFAULT_PREFIX: Final = _redis.DEFAULT_PREFIX
    DEFAULT_MAX_CONNECTIONS: Final = _redis.DEFAULT_MAX_CONNECTIONS

    @staticmethod
    def new_feature_store(
        url: str = DEFAULT_URL,
        prefix: str = DEFAULT_PREFIX,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        caching: CacheConfig = _DEFAULT_CACHE,
        redis_opts: Mapping[str, Any] = _NO_OPTIONS,
    ) -> CachingStoreWrapper:
        """Return a feature store in Redis, for `Config(feature_store=…)`. It connects when used.

        Args:
            url: `redis://`, `rediss://` or `unix://`.
            prefix: what all its keys in Redis begin with.
            max_connections: has no effect; write `redis_opts={'max_connections': …}`.
            caching: how long items are kept in memory.
            redis_opts: further arguments of redis-py's connections.

        Raises:
            ConfigError: the URL or an option cannot work.
            NotImplementedError: redis-py is not installed.
        """
        _redis.warn_of_max_connections(max_connections)
        return CachingStoreWrapper(_redis.redis_core(url, prefix, redis_opts), caching)

    @staticmethod
    def new_big_segment_store(
        url: str = DEFAULT_URL,
        prefix: str = DEFAULT_PREFIX,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        redis_opts: Mapping[str, Any] = _NO_OPTIONS,
    ) -> BigSegmentStore:
        """Return a Big Segment store in Redis, for `BigSegmentsConfig(store=…)`.

        It connects when used. Arguments and errors are those of `new_feature_store`.
        """
        _redis.warn_of_max_connections(max_connections)
        return _redis.redis_big_segments(url, prefix, redis_opts)

    @staticmethod
    def async_feature_store(
        url: str = DEFAULT_URL,
        prefix: str | None = None,
        caching: CacheConfig = _DEFAULT_CACHE,
        redis_opts: Mapping[str, Any] = _NO_OPTIONS,
    ) -> AsyncCachingStoreWrapper:
        """Return a feature store in Redis for asyncio; arguments as for `new_feature_store`.

        Raises:
            ConfigError: the URL or an option cannot work.
            NotImplementedError: redis-py is not installed.
        """
        return AsyncCachingStoreWrapper(_redis.async_redis_core(url, prefix, redis_opts), caching)

    @staticmethod
    def async_big_segment_store(
        url: str = DEFAULT_URL,
        prefix: str | None = None,
        redis_opts: Mapping[str, Any] = _NO_OPTIONS,
    ) -> AsyncBigSegmentStore:
        """Return a Big Segment store in Redis for asyncio; all as for `new_big_segment_store`."""
        return _redis.async_redis_big_segments(url, prefix, redis_opts)


class FilesSource(core.FileSource):
    """What `Files.new_data_source` returns: a value for `update_processor_class`."""

    __slots__ = ()

    def __call__(self, config: Any, store: Any, ready: Event) -> UpdateProcessor:
        """Return a source of its own that writes to `store`."""
        return SourceProcessor(FileDataSource(self), config, store, ready)


class Files:
    """Flags and segments from files."""

    @staticmethod
    def new_data_source(
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        auto_update: bool = False,
        poll_interval: float = 1,
        force_polling: bool = False,
    ) -> FilesSource:
        """Return a value for `Config(update_processor_class=…)`.

        Args:
            paths: of files in JSON or, with the extra `files`, YAML; merged.
            auto_update: follow changes of the files.
            poll_interval: seconds between two looks where the system does not tell.
            force_polling: look even where it does.

        Raises:
            ConfigError: there is no path, or the interval is not above 0.
        """
        listed = (paths,) if isinstance(paths, str | os.PathLike) else tuple(paths)
        return FilesSource(
            *listed, reload=auto_update, poll_interval=poll_interval, force_polling=force_polling
        )

    @staticmethod
    def new_data_source_v2(
        paths: str | Iterable[str],
        poll_interval: float = 1,
        force_polling: bool = False,
    ) -> Never:
        """Make a source for the second data system: not part of this release."""
        del paths, poll_interval, force_polling
        raise NotBuiltYet("Files.new_data_source_v2")
