"""Describe the public API of whatever `ldclient` is: `describe(names)` -> the shape of api.json.

Runs in the interpreter of the official SDK too, so it imports nothing of ours.
"""

import enum
import importlib
import inspect
import json
import sys
from typing import Any

_MANY: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def parameters(function: Any, *, bound: bool) -> str:
    """Return names and kinds, in order, and defaults that are plain; `...` for other defaults."""
    shown = []
    for one in list(inspect.signature(function).parameters.values())[bound:]:
        text = _MANY.get(one.kind, one.name)
        if one.default is not one.empty:
            is_plain = one.default is None or isinstance(one.default, bool | int | float | str)
            text += "=" + (repr(one.default) if is_plain else "...")
        shown.append(text)
    return ", ".join(shown)


def member(owner: type, name: str) -> Any:
    """Describe a member of a class: its parameters, or that it is an attribute, or missing."""
    found = inspect.getattr_static(owner, name, None)
    if isinstance(found, staticmethod):
        return "static " + parameters(found.__func__, bound=False)
    if isinstance(found, classmethod):
        return "class " + parameters(found.__func__, bound=True)
    if inspect.isfunction(found):
        mark = "abstract " if getattr(found, "__isabstractmethod__", False) else ""
        return mark + "(" + parameters(found, bound=True) + ")"
    return "attribute" if found is not None or is_set_on_instances(owner, name) else "missing"


def is_set_on_instances(owner: type, name: str) -> bool:
    """Say whether a class announces an attribute of its instances, or its constructor sets it."""
    for one in owner.__mro__:
        code = getattr(vars(one).get("__init__"), "__code__", None)
        if name in vars(one).get("__annotations__", {}) or (code and name in code.co_names):
            return True
    return False


def elsewhere(value: Any, module: str) -> Any:
    """Say where a class comes from that another module defines; None for all others."""
    if isinstance(value, type) and value.__module__ != module:
        return {"same as": f"{value.__module__}.{value.__qualname__}"}
    return None


def thing(value: Any, members: dict[str, Any]) -> Any:
    """Describe a public name of a module; `members` are those wanted of a class."""
    if isinstance(value, type) and issubclass(value, enum.Enum):
        return {"enum": {one.name: one.value for one in value}}
    if isinstance(value, type):
        described = {name: member(value, name) for name in members}
        if "__init__" in members:
            described["__init__"] = "(" + parameters(value, bound=False) + ")"
        return described
    if inspect.isfunction(value):
        return "(" + parameters(value, bound=False) + ")"
    if inspect.ismodule(value):
        return "module"
    return repr(value) if isinstance(value, str | int | float) else "object"


def describe(wanted: dict[str, Any]) -> dict[str, Any]:
    """Describe the names of `wanted`, which has the shape of the result."""
    described: dict[str, Any] = {}
    # All first: some are attributes of others only once they are imported.
    modules = {name: importlib.import_module(name) for name in wanted}
    for module_name, names in wanted.items():
        module = modules[module_name]
        described[module_name] = {
            name: elsewhere(getattr(module, name), module_name)
            or thing(getattr(module, name), shape if isinstance(shape, dict) else {})
            for name, shape in names.items()
        }
    return described


if __name__ == "__main__":
    json.dump(describe(json.load(sys.stdin)), sys.stdout)
