"""Contexts as applications of the official SDK, new and old, give them."""

import warnings
from collections.abc import Mapping
from typing import Any

from flagkeep.ldclient.context import Context
from flagkeep.model import context as core


def accepted(context: Any) -> Any:
    """Return a context; legacy users, which are dicts, become one, with a DeprecationWarning."""
    if isinstance(context, core.Context) or not isinstance(context, Mapping):
        return context
    message = "a dict as context is deprecated: use Context.from_dict or Context.builder"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return Context.from_dict(context) if "kind" in context else Context.from_user(context)
