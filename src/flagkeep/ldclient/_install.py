"""`install`: `import ldclient` and every submodule of it mean flagkeep from now on.

The modules are entered into `sys.modules` under both names, so there is one of each; classes and
functions then call themselves `ldclient…`, which is what pickles and messages contain.
"""

import importlib
import importlib.machinery
import pkgutil
import sys
from collections.abc import Sequence
from types import FunctionType, ModuleType
from typing import Final

from flagkeep.config import StorePolicy
from flagkeep.errors import ConfigError
from flagkeep.ldclient import _policy

OURS: Final = "flagkeep.ldclient"
OFFICIAL: Final = "ldclient"
# Modules of the core whose classes are official ones just as they are.
_ADOPTED: Final = {
    "ldclient.migrations.types": ("flagkeep.model.migration", "flagkeep.model.migration_result")
}
_NEEDS_ASYNCIO: Final = f"{OURS}._aio"  # loaded by who uses it
_PRIVATE: Final = tuple(f"{name}.impl" for name in (OFFICIAL, OURS))


def install(*, store_policy: StorePolicy | None = None) -> None:
    """Make `import ldclient` mean flagkeep in this process. Calling it again does no harm.

    Call it before anything imports `ldclient`; whether the official SDK is installed is of no
    importance.

    Args:
        store_policy: how far clients go beyond what other SDKs do with a persistent store;
            outranks the environment variables `FLAGKEEP_*`.

    Raises:
        RuntimeError: the official SDK was imported already.
        ConfigError: `store_policy` is not a `StorePolicy`.
    """
    if not isinstance(store_policy, StorePolicy | None):
        raise ConfigError(f"store_policy must be a StorePolicy, not {store_policy!r}")
    _refuse_second_sdk()
    if store_policy is not None:
        _policy.install(store_policy)
    package = importlib.import_module(OURS)
    submodules = pkgutil.walk_packages(package.__path__, f"{OURS}.")
    names = [found.name for found in submodules if not found.name.startswith(_NEEDS_ASYNCIO)]
    for name in (OURS, *names):
        module = importlib.import_module(name)
        official = OFFICIAL + name.removeprefix(OURS)
        sys.modules[official] = module
        _call_yourselves(module, official)
    if _PrivateModules not in sys.meta_path:
        sys.meta_path.insert(0, _PrivateModules)


def _refuse_second_sdk() -> None:
    found = sys.modules.get(OFFICIAL)
    if found is not None and found is not sys.modules.get(OURS):
        raise RuntimeError(
            "launchdarkly-server-sdk was imported before flagkeep.ldclient.install():"
            " two SDKs in one process would split its state; call install() first"
        )


def _call_yourselves(module: ModuleType, name: str) -> None:
    homes = (module.__name__, *_ADOPTED.get(name, ()))
    for thing in vars(module).values():
        if isinstance(thing, type | FunctionType) and thing.__module__ in homes:
            thing.__module__ = name


class _PrivateModules:
    """Says why `ldclient.impl` cannot be imported, instead of that it is not there."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Refuse what is private to the official SDK; leave the rest to others."""
        del path, target
        if any(fullname == name or fullname.startswith(f"{name}.") for name in _PRIVATE):
            message = "private to launchdarkly-server-sdk; flagkeep offers the public API"
            raise ImportError(f"{fullname}: {message}", name=fullname)
        return None
