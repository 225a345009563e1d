"""What contexts are made of: names that are taken, and checks of kinds, references and values."""

import logging
from collections.abc import Mapping
from string import ascii_letters, digits
from typing import Any, Final

from flagkeep.model.values import NotJson, copy_json

log = logging.getLogger("flagkeep.context")

KIND_CHARACTERS: Final = frozenset(ascii_letters + digits + "._-")
BUILT_IN: Final = frozenset({"kind", "key", "name", "anonymous"})
RESERVED: Final = BUILT_IN | {"_meta", ""}
"""Names that no attribute of the application can have."""
USER_TEXTS: Final = ("name", "firstName", "lastName", "email", "country", "avatar", "ip")
PLAIN: Final = frozenset({str, bool})


def kind_error(kind: object) -> str | None:
    """Return what is wrong with the kind of a single context, None if nothing is."""
    if not isinstance(kind, str):
        return "the kind of a context must be a string"
    if not kind:
        return "the kind of a context must not be empty"
    if kind == "kind":
        return '"kind" cannot be the kind of a context'
    if kind == "multi":
        return 'a context of kind "multi" is made with create_multi or multi_builder'
    if not KIND_CHARACTERS.issuperset(kind):
        return "the kind of a context may have letters, digits, '.', '_' and '-' only"
    return None


def escape(key: str) -> str:
    """Return a key as it stands in a fully qualified key."""
    return key.replace("%", "%25").replace(":", "%3A")


def private_names(names: object) -> tuple[str, ...] | None:
    """Return a list of private references; None if it is not one."""
    if names is None:
        return ()
    if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
        return None
    return tuple(names)


def kept_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return copies of all values that are JSON; the others are left out, and logged."""
    kept = {}
    for name, value in attributes.items():
        if type(value) in PLAIN:
            kept[name] = value
            continue
        if value is None:
            continue
        try:
            kept[name] = copy_json(value)
        except NotJson as exc:
            log.warning("attribute %r of a context is left out: %s", name, exc)
    return kept
