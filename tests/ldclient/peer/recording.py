"""What a program of this folder saw, by name: printed as JSON at its end.

The programs run on the official SDK and on flagkeep, so they import `ldclient` and nothing of ours.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

logging.basicConfig(level=logging.CRITICAL)

_seen: dict[str, Any] = {}


def record(name: str, look: Callable[[], Any]) -> None:
    """Keep what `look` returns, which must be JSON, or that it raises."""
    assert name not in _seen, name
    try:
        _seen[name] = look()
    except Exception:  # noqa: BLE001  any of them is an observation
        _seen[name] = "raises"


def detail(found: Any) -> Any:
    """Return an `EvaluationDetail` as JSON."""
    return [found.value, found.variation_index, found.reason]


def finish() -> None:
    """Print everything."""
    print(json.dumps(_seen))
