"""The way out of this machine: closed for what is tested, open for what installs packages."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_NOWHERE: Final = "http://127.0.0.1:9"
_GIVEN: Final = "FLAGKEEP_TEST_HTTPS_PROXY"  # where test processes find what the machine's was


def close() -> None:
    """Refuse at once whatever is not on loopback, in the children of this process, too."""
    os.environ.setdefault(_GIVEN, os.environ.get("https_proxy", ""))
    os.environ["https_proxy"] = _NOWHERE


@contextmanager
def opened() -> Iterator[None]:
    """Let packages be fetched meanwhile, over the proxy that the machine may need."""
    del os.environ["https_proxy"]
    if os.environ[_GIVEN]:
        os.environ["https_proxy"] = os.environ[_GIVEN]
    try:
        yield
    finally:
        close()
