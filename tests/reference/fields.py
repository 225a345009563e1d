"""Reading fields of flags and segments that may be absent, null, or `3.0` where 3 is meant."""

from typing import Any

Json = Any
Object = dict[str, Any]


class MalformedFlag(Exception):
    """Aborts the whole evaluation: the flag cannot be evaluated as it is written."""


def text(owner: Object, name: str) -> str:
    """Return a string field, `""` by default."""
    value = owner.get(name)
    return "" if value is None else str(value)


def flag_of(owner: Object, name: str) -> bool:
    """Return a boolean field, false by default."""
    return owner.get(name) is True


def objects(owner: Object, name: str) -> list[Any]:
    """Return an array field, empty by default."""
    value = owner.get(name)
    return [] if value is None else list(value)


def whole(owner: Object, name: str) -> int | None:
    """Return an integer field, or None; `7.0` is 7."""
    value = owner.get(name)
    return None if value is None else int(value)


def whole_or_zero(owner: Object, name: str) -> int:
    """Return an integer field, 0 by default."""
    return whole(owner, name) or 0


def kind_of(owner: Object, name: str = "contextKind") -> str:
    """Return a context kind field, `user` by default."""
    return text(owner, name) or "user"
