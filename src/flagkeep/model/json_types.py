"""What a typed evaluation accepts: JSON types stay apart, numbers convert to each other."""

import math
from collections.abc import Callable
from typing import Any

from flagkeep.model.migration import Stage

TypeReader = Callable[[Any], tuple[bool, Any]]
"""From a JSON value to (whether it is of the type, the value as that type)."""


def read_bool(value: Any) -> tuple[bool, Any]:
    """Accept true and false."""
    return isinstance(value, bool), value


def read_int(value: Any) -> tuple[bool, Any]:
    """Accept numbers, and cut off the fraction towards zero."""
    if isinstance(value, float) and math.isfinite(value):
        return True, int(value)
    return isinstance(value, int) and not isinstance(value, bool), value


def read_float(value: Any) -> tuple[bool, Any]:
    """Accept numbers; whole ones beyond the range of a double are refused."""
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return True, float(value)
        except OverflowError:
            return False, value
    return isinstance(value, float), value


def read_str(value: Any) -> tuple[bool, Any]:
    """Accept strings."""
    return isinstance(value, str), value


def read_stage(value: Any) -> tuple[bool, Any]:
    """Accept names of stages of a migration."""
    return isinstance(value, str) and Stage.from_str(value) is not None, value


def read_json(value: Any) -> tuple[bool, Any]:
    """Accept everything."""
    return True, value
