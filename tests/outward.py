"""The way out of this machine: closed for what is tested, open for what installs packages."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_NOWHERE: Final = "http://127.0.0.1:9"
_GIVEN: Final = os.environ.get("https_proxy")


def close() -> None:
    """Refuse at once whatever is not on loopback, in the children of this process, too."""
    os.environ["https_proxy"] = _NOWHERE


@contextmanager
def opened() -> Iterator[None]:
    """Let packages be fetched meanwhile, over the proxy that the machine may need."""
    if _GIVEN is None:
        os.environ.pop("https_proxy", None)
    else:
        os.environ["https_proxy"] = _GIVEN
    try:
        yield
    finally:
        close()
