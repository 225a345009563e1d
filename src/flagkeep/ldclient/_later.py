"""Names of the official API that this release does not have: asking for one says so.

A module that lacks such names has `__getattr__ = later(__name__, "Name Other")`, so that
`from ldclient.datasystem import custom` ends in an error that names what was asked for. Type
checkers must not see it: to them every name would then be there.
"""

from collections.abc import Callable
from typing import Never

from flagkeep.errors import NotBuiltYet

_PACKAGE = "flagkeep."


def later(module: str, names: str) -> Callable[[str], Never]:
    """Return a module's `__getattr__` that raises `NotBuiltYet` for `names`.

    Args:
        module: the module's `__name__`.
        names: separated by spaces.
    """
    known = frozenset(names.split())
    shown = module.removeprefix(_PACKAGE)

    def missing(name: str) -> Never:
        if name in known:
            raise NotBuiltYet(f"{shown}.{name}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return missing
