"""For tests of programs that use flagkeep: flag data made in code, and a server that plays the flag
service. Hides that the server needs asyncio, which is imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from flagkeep.testing.big_segments import BigSegmentData
from flagkeep.testing.flag_builder import (
    FALSE_VARIATION_INDEX,
    TRUE_VARIATION_INDEX,
    FlagBuilder,
    FlagRuleBuilder,
)
from flagkeep.testing.test_data import TestData

if TYPE_CHECKING:
    from flagkeep.testing.upstream import AsyncFakeUpstream, FakeUpstream
    from flagkeep.testing.upstream_log import UpstreamTimeout
    from flagkeep.testing.upstream_messages import Request, Scripted

__all__ = [
    "FALSE_VARIATION_INDEX",
    "TRUE_VARIATION_INDEX",
    "AsyncFakeUpstream",
    "BigSegmentData",
    "FakeUpstream",
    "FlagBuilder",
    "FlagRuleBuilder",
    "Request",
    "Scripted",
    "TestData",
    "UpstreamTimeout",
]

_MODULES: Final = {
    "AsyncFakeUpstream": "flagkeep.testing.upstream",
    "FakeUpstream": "flagkeep.testing.upstream",
    "Request": "flagkeep.testing.upstream_messages",
    "Scripted": "flagkeep.testing.upstream_messages",
    "UpstreamTimeout": "flagkeep.testing.upstream_log",
}


def __getattr__(name: str) -> Any:
    """Import what belongs to the fake upstream when it is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
