"""The official LaunchDarkly SDK's public API for Python, over flagkeep's core.

`flagkeep.ldclient.install()` makes `import ldclient` mean this package, so that an application
runs on flagkeep unchanged. It knows the official names, shapes and habits; the rest of flagkeep
knows none of them.
"""

import logging
from typing import Final

from flagkeep.ldclient import client as client
from flagkeep.ldclient import config as config
from flagkeep.ldclient import context as context
from flagkeep.ldclient import evaluation as evaluation
from flagkeep.ldclient import integrations as integrations
from flagkeep.ldclient import interfaces as interfaces
from flagkeep.ldclient import migrations as migrations
from flagkeep.ldclient._install import install as install
from flagkeep.ldclient._singleton import Singleton
from flagkeep.ldclient.async_client import AsyncLDClient as AsyncLDClient
from flagkeep.ldclient.client import LDClient as LDClient
from flagkeep.ldclient.config import Config as Config
from flagkeep.ldclient.context import Context as Context
from flagkeep.ldclient.context import ContextBuilder as ContextBuilder
from flagkeep.ldclient.context import ContextMultiBuilder as ContextMultiBuilder
from flagkeep.ldclient.migrations import AsyncMigrationConfig as AsyncMigrationConfig
from flagkeep.ldclient.migrations import AsyncMigrator as AsyncMigrator
from flagkeep.ldclient.migrations import AsyncMigratorBuilder as AsyncMigratorBuilder
from flagkeep.ldclient.migrations import AsyncMigratorFn as AsyncMigratorFn
from flagkeep.ldclient.migrations import ExecutionOrder as ExecutionOrder
from flagkeep.ldclient.migrations import MigrationConfig as MigrationConfig
from flagkeep.ldclient.migrations import Migrator as Migrator
from flagkeep.ldclient.migrations import MigratorBuilder as MigratorBuilder
from flagkeep.ldclient.migrations import MigratorCompareFn as MigratorCompareFn
from flagkeep.ldclient.migrations import MigratorFn as MigratorFn
from flagkeep.ldclient.migrations import Operation as Operation
from flagkeep.ldclient.migrations import OperationResult as OperationResult
from flagkeep.ldclient.migrations import OpTracker as OpTracker
from flagkeep.ldclient.migrations import Origin as Origin
from flagkeep.ldclient.migrations import Stage as Stage
from flagkeep.ldclient.migrations.types import Result as Result
from flagkeep.ldclient.version import VERSION as VERSION

# What `from ldclient import *` gives is what the official SDK gives, without `Result`.
__all__ = [
    "Config",
    "Context",
    "ContextBuilder",
    "ContextMultiBuilder",
    "LDClient",
    "client",
    "context",
    "evaluation",
    "integrations",
    "interfaces",
    "migrations",
]

__version__: Final = VERSION

log: Final = logging.getLogger("ldclient.util")

start_wait: float = 5
"""How many seconds `get` waits for data when it makes the client; may be assigned."""

_singleton: Final = Singleton()


def set_config(config: Config) -> None:
    """Set the configuration of the client that `get` returns.

    If there is a client already, a new one takes its place before the old one is closed.

    Raises:
        ConfigError: it is not a `Config`.
    """
    _singleton.set_config(config, start_wait)


def get() -> LDClient:
    """Return the client that the whole process shares; the first call makes it.

    Raises:
        Exception: `set_config` was not called.
    """
    return _singleton.get(start_wait)


def _reset_client() -> None:
    """Close the client that `get` returned; the next `get` makes a new one."""
    _singleton.reset()
