"""What user code hands in to be called: plain callables, in both clients."""

from collections.abc import Callable
from typing import Any

import msgspec


class FlagChange(msgspec.Struct, frozen=True):
    """A flag, or something its value depends on, changed; the value itself may be the same."""

    key: str


class FlagValueChange(msgspec.Struct, frozen=True):
    """The value of a flag for one context changed. A flag that is gone has the value None."""

    key: str
    old_value: Any
    new_value: Any


ChangeListener = Callable[[FlagChange], object]
ValueChangeListener = Callable[[FlagValueChange], object]
StatusListener = Callable[[Any], object]
