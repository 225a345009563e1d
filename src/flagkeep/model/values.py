"""JSON values: copies that share nothing with the caller, and a form that compares and hashes."""

import math
from collections.abc import Hashable, Mapping
from typing import Any, Final

MAX_DEPTH: Final = 100
MAX_VALUES: Final = 1_000_000
_CONTAINERS: Final = frozenset({list, dict})
_SCALARS: Final = frozenset({str, bool, type(None)})
# Whole numbers of more digits cannot be printed under every setting that Python allows.
_TOO_LONG: Final = 10**640


class NotJson(ValueError):
    """A value has no JSON form; the message says why."""


def copy_json(value: Any) -> Any:
    """Return a deep copy in plain types: str, int, float, bool, None, list, dict.

    Subclasses become what they are based on; tuples become lists.

    Raises:
        NotJson: NaN, infinity, a whole number of over 640 digits, another type, a key that is
            not a string, over 100 levels (a value that contains itself included), or over a
            million values in all (lists that contain each other many times over included).
    """
    return _copied(value, 0, [MAX_VALUES])


def _copied(value: Any, depth: int, room: list[int]) -> Any:
    kind = type(value)
    if kind in _SCALARS or (kind is int and -(1 << 63) < value < 1 << 63):
        return value
    if kind is list and _SCALARS.issuperset(map(type, value)):
        return value[:]
    return _copy_of_other(value, depth, room)


def _copy_of_other(value: Any, depth: int, room: list[int]) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotJson(f"{value} is not a JSON number")
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        if not -_TOO_LONG < value < _TOO_LONG:
            raise NotJson("a whole number of more than 640 digits cannot be used")
        return int(value)
    if depth >= MAX_DEPTH:
        raise NotJson(f"it is nested deeper than {MAX_DEPTH} levels, or contains itself")
    # a tuple of types: a union would be made at every call
    if isinstance(value, (list, tuple, Mapping)):
        room[0] -= len(value)
        if room[0] < 0:
            raise NotJson(f"it holds more than {MAX_VALUES} values")
        if isinstance(value, Mapping):
            return {_name(name): _copied(one, depth + 1, room) for name, one in value.items()}
        return [_copied(one, depth + 1, room) for one in value]
    raise NotJson(f"{type(value).__name__} is not a JSON type")


def copy_decoded(value: Any) -> Any:
    """Return a deep copy of JSON that `codec` has let in, infinities included. Never raises."""
    if isinstance(value, list):
        return [copy_decoded(one) if type(one) in _CONTAINERS else one for one in value]
    if isinstance(value, dict):
        return {
            name: copy_decoded(one) if type(one) in _CONTAINERS else one
            for name, one in value.items()
        }
    return value


def is_too_deep(value: Any) -> bool:
    """Whether a JSON value has more than 100 levels."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [one for one in level if isinstance(one, (list, dict))]
        if not level:
            return False
        level = [child for one in level for child in (one.values() if type(one) is dict else one)]
    return True


def frozen_value(value: Any) -> Hashable:
    """Return a hashable form, equal exactly if the JSON values are.

    JSON types stay apart (1, "1" and true differ), numbers compare as numbers (1 equals 1.0).
    """
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, list):
        return (list, tuple(frozen_value(one) for one in value))
    if isinstance(value, dict):
        return (dict, frozenset((name, frozen_value(one)) for name, one in value.items()))
    return value  # type: ignore[no-any-return]  # str, int, float or None: hashable as they are


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise NotJson(f"the key {name!r} of an object is not a string")
    return str.__str__(name)
